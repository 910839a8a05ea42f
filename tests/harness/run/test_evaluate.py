"""The evaluator: right answers counted in order, wrong outputs refused."""

from __future__ import annotations

import numpy as np
import pytest

from harness.data.dataset import Samples
from harness.data.images import ImageLoader
from harness.entries.rules import RuleBroken
from harness.run.evaluate import (
    BATCH_SIZE,
    MEASURED_BATCHES,
    check_batch_effect,
    check_batch_independence,
    correct_answers,
    worst_answers,
)
from hw_targets.measuring.effort import SETTINGS

PIXELS = Samples(np.arange(250, dtype=np.uint8).reshape(250, 1, 1, 1), (np.arange(250) % 10).astype(np.uint8))
TEST = ImageLoader(PIXELS, (0.0,), (1.0,), batch_size=100)


class Fixed:
    """Answers each pixel value with its last decimal digit, except below `wrong`; then changes the outputs."""

    def __init__(self, wrong: int = 0, change=lambda outputs: outputs) -> None:
        self.wrong, self.change = wrong, change

    def run(self, inputs: np.ndarray) -> np.ndarray:
        pixels = np.rint(inputs.reshape(-1) * 255).astype(int)
        digits = np.where(pixels < self.wrong, pixels + 1, pixels) % 10
        return self.change(np.eye(10, dtype=np.float32)[digits])


def evaluate(session) -> np.ndarray:
    return correct_answers(session, TEST, classes=10, label="Test")


def test_answers_come_in_the_order_of_the_test_set():
    assert evaluate(Fixed(wrong=7)).tolist() == [False] * 7 + [True] * 243


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda o: o * np.nan, "not_finite"),
        (lambda o: o[:, :9], "wrong_output"),
        (lambda o: o[:1], "wrong_output"),
        (lambda o: o / 0, "not_finite"),
    ],
)
def test_wrong_outputs_break_a_rule(change, rule):
    with np.errstate(all="ignore"), pytest.raises(RuleBroken) as caught:
        evaluate(Fixed(change=change))
    assert caught.value.rule == rule


def test_a_model_that_depends_on_its_batch_is_as_good_as_where_it_is_worst():
    right = {100: 200, 1: 190, 32: 195}
    assert np.count_nonzero(worst_answers(lambda size: np.arange(250) < right[size])) == 190
    assert {BATCH_SIZE, *MEASURED_BATCHES} == set(right)


class ByBatch:
    """Adds noise of the batch's own to fixed outputs: `noise` in the smaller ones."""

    def __init__(self, noise: float) -> None:
        self.noise = noise

    def run(self, inputs: np.ndarray) -> np.ndarray:
        outputs = np.eye(10, dtype=np.float32)[inputs.reshape(-1).astype(int) % 10]
        other = np.random.default_rng(len(inputs)).normal(size=outputs.shape)
        return outputs + (0 if len(inputs) == BATCH_SIZE else self.noise) * other


def test_ranges_of_the_batch_move_outputs_but_few_answers():
    inputs = np.arange(120.0).reshape(120, 1)
    check_batch_independence(ByBatch(0), inputs)
    check_batch_effect(ByBatch(0.1), inputs)
    with pytest.raises(RuleBroken, match=r"In a batch of 1 ") as caught:
        check_batch_independence(ByBatch(0.1), inputs)
    assert caught.value.rule == "batch_dependent"
    with pytest.raises(RuleBroken, match="more than ranges found at run time explain"):
        check_batch_effect(ByBatch(3), inputs)


def test_the_batches_judged_are_those_that_are_measured():
    assert {settings.offline_batch for settings in SETTINGS.values()} == set(MEASURED_BATCHES) - {1}
