import pytest
import torch
from torch import nn

from pruning.mask import Mask


def keep(*values):
    return torch.tensor(values, dtype=torch.bool)


@pytest.fixture
def model():
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        model.bias.copy_(torch.tensor([5.0, 6.0]))
    return model


def test_apply_zeroes_what_is_not_kept_and_leaves_the_rest(model):
    mask = Mask({"weight": torch.tensor([[True, False], [True, True]])})
    assert mask.apply_(model) is model
    assert model.weight.tolist() == [[1, 0], [3, 4]]
    assert model.bias.tolist() == [5, 6]


def test_apply_zeroes_even_what_is_not_finite(model):
    with torch.no_grad():
        model.weight[0, 1] = float("nan")
    Mask({"weight": torch.tensor([[True, False], [True, True]])}).apply_(model)
    assert model.weight.tolist() == [[1, 0], [3, 4]]


def test_counts_and_sparsity():
    mask = Mask({"a": keep(True, False, False), "b": keep(True)})
    assert (mask.kept, mask.total, mask.sparsity) == (2, 4, 0.5)
    assert mask.counts() == {"a": (1, 3), "b": (1, 1)}
    assert Mask({}).sparsity == 0


def test_a_unit_is_kept_while_one_of_its_weights_is():
    mask = Mask({"conv": keep(True, False, False, False, False, True).view(3, 1, 2, 1), "bias": keep(False, True)})
    assert mask.kept_units("conv").tolist() == [True, False, True]
    assert mask.kept_units("bias").tolist() == [False, True]


def test_dense_keeps_every_parameter(model):
    mask = Mask.dense(model)
    assert set(mask) == {"weight", "bias"}
    assert mask.sparsity == 0


def test_combining_keeps_what_both_keep_and_names_of_either():
    both = Mask({"a": keep(True, True, False)}) & Mask({"a": keep(True, False, True), "b": keep(False)})
    assert both == Mask({"a": keep(True, False, False), "b": keep(False)})
    assert both != Mask({"a": keep(True, False, False)})


def test_combining_refuses_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match=r"differ in shape: \[2\], \[1\]"):
        Mask({"a": keep(True, True)}) & Mask({"a": keep(True)})


def test_a_mask_changes_neither_with_what_it_was_made_from_nor_with_what_it_returned():
    source = keep(True, True)
    mask = Mask({"a": source})
    source[0] = False
    mask["a"][1] = False
    dict(mask)["a"][1] = False
    (mask & Mask({"b": keep(True)}))["a"][1] = False
    assert mask.kept == 2
    with pytest.raises(TypeError):
        mask["a"] = keep(False)


@pytest.mark.parametrize("wrong", [torch.tensor([1.0, 0.0]), torch.tensor([1, 0]), [True, False], None])
def test_refuses_what_is_not_boolean(wrong):
    with pytest.raises(ValueError, match=r"mask of weight must be a tensor of torch\.bool"):
        Mask({"weight": wrong})


def test_an_unknown_name_is_refused_with_the_nearest_and_nothing_is_changed(model):
    mask = Mask({"bias": keep(False, False), "weights": torch.ones(2, 2, dtype=torch.bool)})
    with pytest.raises(ValueError, match=r"no parameter 'weights' to mask\. Did you mean weight\?"):
        mask.apply_(model)
    assert model.bias.tolist() == [5, 6]


@pytest.mark.parametrize("shape", [(2,), (1, 2), (2, 1), (4,), (2, 2, 1)])
def test_a_wrong_shape_is_refused_even_where_it_would_broadcast(model, shape):
    with pytest.raises(ValueError, match=r"mask of weight has shape .* the parameter has \[2, 2\]"):
        Mask({"weight": torch.zeros(shape, dtype=torch.bool)}).apply_(model)
