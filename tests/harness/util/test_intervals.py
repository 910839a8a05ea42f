"""Intervals over several records carry how these differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.util.intervals import middle, middle_on_log_scale, ratio_of_estimates

POSITIVE = st.floats(1e-3, 1e6)


def test_one_estimate_keeps_its_interval():
    assert middle([(1.0, 0.9, 1.2)]) == (1.0, 0.9, 1.2) == middle_on_log_scale([(1.0, 0.9, 1.2)])
    with pytest.raises(ValueError, match="no estimates"):
        middle([])


def test_several_have_student_s_interval_about_their_median():
    value, low, high = middle([(1.0, None, None), (2.0, None, None), (6.0, None, None)])
    half = 4.302653 * math.sqrt(7 / 3) * math.sqrt(math.pi / 2)  # t of two degrees of freedom; the variance is 7
    assert value == 2.0 and (low, high) == pytest.approx((2 - half, 2 + half))


def test_equal_values_do_not_hide_their_own_intervals():
    value, low, high = middle([(1.0, 0.9, 1.2)] * 4)
    assert value == 1.0 and (low, high) == pytest.approx((1 - 0.1 / 2, 1 + 0.2 / 2))


def test_latencies_differ_by_factors():
    value, low, high = middle_on_log_scale([(100.0, None, None), (200.0, None, None), (400.0, None, None)])
    assert value == 200.0 and high / value == pytest.approx(value / low)
    assert middle_on_log_scale([(0.0, None, None), (1.0, None, None)]) == (0.5, None, None)


@given(st.lists(POSITIVE, min_size=1, max_size=5), st.lists(POSITIVE, min_size=1, max_size=5))
def test_a_ratio_holds_the_ratio_of_the_middles(a, b):
    left, right = (middle_on_log_scale([(x, 0.99 * x, 1.01 * x) for x in side]) for side in (a, b))
    low, high = ratio_of_estimates(left, right)
    assert low <= right[0] / left[0] <= high


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 1000), st.sampled_from([2, 3, 5]))
def test_the_interval_covers_the_truth_about_as_often_as_it_says(seed, n):
    """Records that differ by 20 %, each sure of itself to 1 %: within-record intervals would cover next to never."""
    generator = np.random.default_rng(seed)
    covered = 0
    for _ in range(400):
        values = np.exp(generator.normal(0, 0.2, n))
        _, low, high = middle_on_log_scale([(float(v), float(0.99 * v), float(1.01 * v)) for v in values])
        covered += low <= 1 <= high
    assert covered / 400 > 0.91
