"""Penalties by hand, on the lecture's neuron where it fits."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.recovery import PENALTIES, Regularised
from pruning.recovery.regularise import L1, L2, BatchNormL1, GroupLasso


@pytest.fixture
def neuron():
    """W = [10, −8, 0.1]."""
    neuron = nn.Linear(3, 1)
    neuron.weight.data = torch.tensor([[10.0, -8.0, 0.1]])
    return neuron


def test_l1_and_l2_by_hand(neuron):
    assert L1()(neuron).item() == pytest.approx(18.1)
    assert L2()(neuron).item() == pytest.approx(164.01)
    L1()(neuron).backward()
    assert neuron.weight.grad.tolist() == [[1, -1, 1]]
    assert neuron.bias.grad is None


def test_the_loss_is_the_base_and_the_penalty(neuron):
    logits, labels = torch.tensor([[1.0, 2.0]]), torch.tensor([0])
    base = F.cross_entropy(logits, labels).item()
    assert Regularised(L1(), 0.5)(neuron, logits, labels).item() == pytest.approx(base + 9.05)
    doubled = Regularised(L1(), 0.5, base=lambda model, logits, labels: 2 * F.cross_entropy(logits, labels))
    assert doubled(neuron, logits, labels).item() == pytest.approx(2 * base + 9.05)


def test_l2_is_weight_decay_of_twice_its_strength(neuron):
    """In plain SGD: the gradient of λ·w² is 2λ·w."""
    other = nn.Linear(3, 1)
    other.load_state_dict(neuron.state_dict())
    inputs, labels = torch.eye(3), torch.tensor([0, 0, 0])
    penalised = torch.optim.SGD(neuron.parameters(), lr=0.1)
    Regularised(L2(), 0.05)(neuron, neuron(inputs), labels).backward()
    penalised.step()
    decayed = torch.optim.SGD([other.weight], lr=0.1, weight_decay=0.1)
    F.cross_entropy(other(inputs), labels).backward()
    decayed.step()
    torch.testing.assert_close(neuron.weight, other.weight)


def test_group_lasso_by_hand():
    layer = nn.Linear(2, 2)
    layer.weight.data = torch.tensor([[3.0, 4.0], [1.0, 5.0]])
    assert GroupLasso("filter")(layer).item() == pytest.approx(5 + math.sqrt(26))
    assert GroupLasso("channel")(layer).item() == pytest.approx(math.sqrt(10) + math.sqrt(41))


def test_group_lasso_has_a_gradient_where_a_group_is_gone():
    convolution = nn.Conv2d(2, 3, 3)
    with torch.no_grad():
        convolution.weight[1] = 0
    GroupLasso()(convolution).backward()
    assert torch.isfinite(convolution.weight.grad).all()
    assert not convolution.weight.grad[1].any() and convolution.weight.grad[0].any()


def test_group_lasso_shrinks_all_weights_of_a_group_by_one_share():
    layer = nn.Linear(4, 3, bias=False)
    GroupLasso()(layer).backward()
    shares = layer.weight.grad / layer.weight.detach()
    torch.testing.assert_close(shares, shares[:, :1].expand_as(shares))


def test_batch_norm_scales_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm1d(2), nn.BatchNorm1d(4, affine=False))
    model[1].weight.data = torch.tensor([0.5, -2.0, 0.0])
    model[2].weight.data = torch.tensor([1.0, 0.05])
    assert BatchNormL1()(model).item() == pytest.approx(3.55)
    # β = 0.1: |γ| − 0.05 from 0.1 on, and γ²/0.2 below.
    assert BatchNormL1(smooth=0.1)(model).item() == pytest.approx(0.45 + 1.95 + 0.95 + 0.0125)
    BatchNormL1()(model).backward()
    assert model[1].weight.grad.tolist() == [1, -1, 0]
    assert model[0].weight.grad is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6), st.floats(1e-3, 1))
def test_smooth_l1_lies_below_l1_by_half_its_width_at_most(scales, width):
    model = nn.BatchNorm1d(len(scales))
    model.weight.data = torch.tensor(scales)
    gap = (BatchNormL1()(model) - BatchNormL1(smooth=width)(model)).item()
    assert -1e-4 <= gap <= len(scales) * width / 2 + 1e-4


@pytest.mark.parametrize("name", ["l1", "l2", "group_lasso"])
def test_penalties_can_be_held_to_some_layers(name):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    PENALTIES[name](layers=["1"])(model).backward()
    assert model[0].weight.grad is None and model[1].weight.grad.any()


def test_what_cannot_be_penalised_is_refused():
    with pytest.raises(ValueError, match="no batch norm"):
        PENALTIES["batch_norm_l1"]()(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"weight of shape \[4, 1, 3, 3\] is of a grouped"):
        GroupLasso("channel")(nn.Conv2d(4, 4, 3, groups=4))
    with pytest.raises(ValueError, match="no groups named 'kernel'"):
        GroupLasso("kernel")
    with pytest.raises(ValueError, match="0 or more, not -1"):
        Regularised(L1(), -1)
    with pytest.raises(ValueError, match="0 or more, not -1"):
        BatchNormL1(smooth=-1)
