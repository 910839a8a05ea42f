"""The paired interval: worked examples, and its coverage."""

from __future__ import annotations

import numpy as np
import pytest

from harness.store.quality import paired_delta, quality_of


def test_worked_example():
    # 100 samples: 6 won, 2 lost. Estimate 4/100; Agresti–Min: b = 6.5, c = 2.5, n = 102.
    right = np.r_[np.ones(6), np.zeros(2), np.ones(92)].astype(bool)
    reference = np.r_[np.zeros(6), np.ones(2), np.ones(92)].astype(bool)
    delta, low, high = paired_delta(right, reference)
    assert delta == pytest.approx(0.04)
    half = 1.959964 * np.sqrt(6.5 + 2.5 - 4.0**2 / 102) / 102
    assert (low, high) == pytest.approx((4 / 102 - half, 4 / 102 + half), rel=1e-6)


def test_the_same_answers_differ_by_nothing():
    right = np.arange(1000) % 3 > 0
    delta, low, high = paired_delta(right, right)
    assert delta == 0 and low == -high and 0 < high < 0.003


def test_coverage_of_the_interval():
    generator = np.random.default_rng(0)
    won, lost, n, hits, trials = 0.03, 0.05, 2000, 0, 1000
    for _ in range(trials):
        draw = generator.random(n)
        right, reference = draw > won + lost, draw > won + lost
        right, reference = right | (draw < won), reference | ((draw >= won) & (draw < won + lost))
        _, low, high = paired_delta(right, reference)
        hits += low <= won - lost <= high
    assert 0.93 < hits / trials < 0.97


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="equal"):
        paired_delta(np.ones(3, bool), np.ones(4, bool))


def test_judging_puts_both_side_by_side():
    quality = quality_of(
        np.array([True, True, False, True]), np.ones(4, bool), metric="top1_accuracy", quality_target=0.99
    )
    assert (quality.value, quality.reference, quality.delta, quality.samples) == (0.75, 1.0, -0.25, 4)
