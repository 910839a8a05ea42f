"""The cubic curve by hand, and what it does to a network in training."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.masking import make_mask
from pruning.ratios import Uniform
from pruning.schedules import gradual
from pruning.schedules.gradual_pruning import GradualMask, cubic


def mask_at(model, sparsity, within):
    return make_mask(model, criterion="magnitude", granularity="element", ratio=Uniform(sparsity), within=within)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.0), (1, 0.8 - 0.8 * 27 / 64), (2, 0.7), (3, 0.7875), (4, 0.8), (9, 0.8)]
)
def test_the_curve_from_zero_by_hand(step, expected):
    assert cubic(step, initial=0, final=0.8, begin=0, end=4) == pytest.approx(expected)


def test_the_curve_from_a_first_sparsity_by_hand():
    assert cubic(15, initial=0.2, final=0.8, begin=10, end=20) == pytest.approx(0.8 - 0.6 / 8)
    assert cubic(3, initial=0.2, final=0.8, begin=10, end=20) == 0.2


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 9), st.integers(0, 9))
def test_the_curve_rises_to_the_final_sparsity_exactly(one, other, begin, length):
    initial, final = sorted((one, other))
    shares = [cubic(step, initial=initial, final=final, begin=begin, end=begin + length) for step in range(20)]
    assert shares[-1] == final
    assert all(initial - 1e-9 <= a <= b + 1e-9 for a, b in pairwise(shares))


def test_of_three_weights_the_smallest_falls_first():
    """The lecture's neuron, y = ReLU(10 x₀ − 8 x₁ + 0.1 x₂), down to one weight in four steps."""
    neuron = nn.Linear(3, 1, bias=False)
    neuron.weight.data = torch.tensor([[10.0, -8.0, 0.1]])
    moving = GradualMask(mask_at, 0.67, every=1, end=0.75)
    kept = [moving(neuron, step, 4)["weight"].flatten().int().tolist() for step in range(4)]
    # Along the curve 0, 0.67 · 19/27, 0.67 · 26/27 and 0.67 of three weights: 0, 1.4, 1.9 and 2.0 of them fall.
    assert kept == [[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert moving.complete


def test_in_training_masks_nest_and_the_last_part_is_at_full_sparsity(loop):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    asked = []

    def remembering(model, sparsity, within):
        asked.append((sparsity, mask_at(model, sparsity, within)))
        return asked[-1][1]

    trained, mask = gradual(model, remembering, sparsity=0.75, train=loop, epochs=5, begin=0.1, end=0.5, every=3)
    assert trained is model and mask.sparsity == pytest.approx(48 / 64)
    # Twenty steps: masks at 2, 5, 8, and at 10, where the curve ends.
    assert [share for share, _ in asked] == [cubic(s, initial=0, final=0.75, begin=2, end=10) for s in (2, 5, 8, 10)]
    assert all(later & earlier == later for (_, earlier), (_, later) in pairwise(asked))
    for state in loop.history[0][10:]:
        assert all(not state[name][~keep].any() for name, keep in mask.items())
    assert model[0].weight[mask["0.weight"]].all()


def test_pruning_may_end_with_the_training(loop):
    model = nn.Sequential(nn.Linear(5, 3))
    _, mask = gradual(model, mask_at, sparsity=1.0, train=loop, epochs=1, end=1.0, every=100)
    assert mask.sparsity == 1 and not model[0].weight.any()


def test_a_loop_that_takes_no_moving_mask_is_found_out():
    def deaf(model, *, epochs, learning_rate=None, mask=None):
        return model

    with pytest.raises(ValueError, match=r"ended before sparsity 0\.5"):
        gradual(nn.Linear(3, 3), mask_at, sparsity=0.5, train=deaf, epochs=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "1 epoch or more"),
        ({"sparsity": 1.5}, "in 0…1"),
        ({"initial": 0.6}, "above the final"),
        ({"begin": 0.8}, "begin ≤ end"),
        ({"every": 0}, "1 or more, not 0"),
    ],
)
def test_impossible_schedules_are_refused_before_any_training(loop, changes, message):
    with pytest.raises(ValueError, match=message):
        gradual(nn.Linear(5, 3), mask_at, **{"sparsity": 0.5, "train": loop, "epochs": 1, **changes})
    assert not loop.starts
