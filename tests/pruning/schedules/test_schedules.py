from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruning.masking import make_mask
from pruning.ratios import Global
from pruning.recovery.fine_tuning import fine_tune
from pruning.schedules import iterative, one_shot
from pruning.schedules.iterative_pruning import sparsities


class FakeTrain:
    """Records how it was called, and changes all weights that the mask leaves free."""

    def __init__(self):
        self.calls = []

    def __call__(self, model, *, epochs, learning_rate=None, mask=None):
        zeros = float((model.weight == 0).float().mean())
        self.calls.append({"epochs": epochs, "learning_rate": learning_rate, "sparsity": mask.sparsity, "zeros": zeros})
        with torch.no_grad():
            model.weight.add_(torch.randn(model.weight.shape, generator=torch.Generator().manual_seed(len(self.calls))))
        return mask.apply_(model)


def mask_at(model, sparsity, within):
    return make_mask(model, criterion="magnitude", granularity="element", ratio=Global(sparsity), within=within)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Linear(10, 10)


def test_one_shot_prunes_then_trains_once(model):
    train = FakeTrain()
    trained, mask = one_shot(model, mask_at, sparsity=0.8, train=train, epochs=4, learning_rate=0.05)
    assert trained is model
    assert mask.sparsity == pytest.approx(0.8)
    assert len(train.calls) == 1
    assert train.calls[0] == pytest.approx({"epochs": 4, "learning_rate": 0.05, "sparsity": 0.8, "zeros": 0.8})


def test_iterative_prunes_and_trains_in_steps_that_nest(model):
    train, masks = FakeTrain(), []

    def remembering(model, sparsity, within):
        assert within is None if not masks else within == masks[-1]
        masks.append(mask_at(model, sparsity, within))
        return masks[-1]

    _, last = iterative(model, remembering, sparsity=0.9, steps=3, train=train, epochs=2)
    assert [call["sparsity"] for call in train.calls] == pytest.approx([0.3, 0.6, 0.9])
    assert [call["zeros"] for call in train.calls] == pytest.approx([0.3, 0.6, 0.9])
    assert {(call["epochs"], call["learning_rate"]) for call in train.calls} == {(2, None)}
    assert all(later & earlier == later for earlier, later in pairwise(masks))
    assert last == masks[-1]


def test_without_epochs_nothing_is_trained(model):
    train = FakeTrain()
    one_shot(model, mask_at, sparsity=0.5, train=train, epochs=0)
    assert train.calls == []
    assert int((model.weight == 0).sum()) == 50


def test_negative_epochs_are_refused(model):
    with pytest.raises(ValueError, match="0 epochs or more"):
        fine_tune(model, mask_at(model, 0.5, None), train=FakeTrain(), epochs=-1)


@given(st.floats(0, 0.99), st.integers(1, 20), st.sampled_from(["linear", "geometric"]))
def test_sparsities_rise_to_the_final_one_exactly(final, steps, spacing):
    shares = sparsities(final, steps, spacing)
    assert len(shares) == steps
    assert shares[-1] == final
    assert all(0 <= a <= b + 1e-12 for a, b in pairwise(shares))


def test_steps_worked_by_hand():
    assert sparsities(0.9, 3) == pytest.approx([0.3, 0.6, 0.9])
    assert sparsities(0.875, 3, "geometric") == pytest.approx([0.5, 0.75, 0.875])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, 0), "1 step or more"),
        ((1.5, 2), r"in 0…1"),
        ((1.0, 3, "geometric"), "never reach"),
        ((0.5, 2, "cubic"), "no spacing"),
    ],
)
def test_impossible_steps_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sparsities(*arguments)
