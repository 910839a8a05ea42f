"""The evaluator: right answers counted in order, wrong outputs refused."""

from __future__ import annotations

import numpy as np
import pytest

from harness.data.dataset import Samples
from harness.data.images import ImageLoader
from harness.evaluate import correct_answers
from harness.run.rules import RuleBroken

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
