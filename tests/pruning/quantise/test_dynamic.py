"""Dynamic quantisation: the arithmetic by hand, in torch and in ONNX Runtime; zeros; training; what stays in floats."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.entries.export import export_onnx
from hw_targets.graph.onnx_graph import run_unoptimised
from pruning.mask import Mask
from pruning.quantise import floats_left, to_dynamic_int8


def linear(inputs: int, outputs: int, seed: int = 0, *, bias: bool = True) -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(inputs, outputs, bias=bias)


def in_onnx(model: nn.Module, inputs: torch.Tensor) -> np.ndarray:
    (outputs,) = run_unoptimised(export_onnx(copy.deepcopy(model), inputs), ["output"], {"input": inputs.numpy()})
    return outputs


def test_one_output_by_hand():
    """Inputs −1…1.55 take 255 steps of 0.01 from code 100 for zero; weights steps of 0.02 (2.54 has code 127)."""
    layer = linear(3, 1)
    layer.weight = nn.Parameter(torch.tensor([[2.54, -0.03, 0.0]]))
    layer.bias = nn.Parameter(torch.tensor([0.5]))
    x = torch.tensor([[1.55, -1.0, 0.7312], [0.0, 0.004, 1.0]])
    codes = np.array([[255, 0, 173], [100, 100, 200]]) - 100
    expected = codes @ np.array([127, -2, 0]) * (0.01 * 0.02) + 0.5
    small = to_dynamic_int8(layer)
    assert np.allclose(small(x).detach().numpy()[:, 0], expected, atol=1e-6)
    assert np.allclose(in_onnx(small, x)[:, 0], expected, atol=1e-6)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from([(4, 9), (3, 5, 9), (2, 3, 4, 9)]),
    st.integers(2, 8),
    st.booleans(),
    st.booleans(),
    st.floats(-20, 20),
    st.integers(0, 99),
)
def test_torch_and_onnx_agree(shape, bits, per_channel, bias, offset, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator) * 3 + offset
    layer = linear(9, 4, seed, bias=bias)
    small = to_dynamic_int8(layer, bits, per_channel=per_channel).eval()
    inside = small(x).detach().numpy()
    assert np.abs(inside - in_onnx(small, x)).max() <= 1e-5 * max(1, np.abs(inside).max())
    step = (max(float(x.max()), 0) - min(float(x.min()), 0)) / 255
    off = step * small.weight.abs().sum(1).max() + (small.weight - layer.weight).abs().max() * x.abs().sum(-1).max()
    assert np.abs(inside - layer(x).detach().numpy()).max() <= float(off.detach()) * 1.01


def test_inputs_that_are_all_zero_give_the_bias():
    small = to_dynamic_int8(linear(5, 3)).eval()
    zeros = torch.zeros(2, 5)
    assert np.allclose(small(zeros).detach(), small.bias.detach()) and np.allclose(
        in_onnx(small, zeros), small(zeros).detach()
    )


class Mixed(nn.Module):
    """A convolution, attention, and linear layers before and behind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 1)
        self.first = linear(8, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.last = linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.encoder(self.first(self.conv(x).transpose(1, 2))).mean(1))


def test_what_stays_in_floats_is_named_and_computes():
    torch.manual_seed(0)
    model = Mixed().eval()
    floats = floats_left(model)
    assert list(floats) == ["conv"]
    small, x = to_dynamic_int8(model).eval(), torch.randn(3, 4, 5)
    assert model(x).shape == (3, 3) and 0 < float((small(x) - model(x)).abs().max()) < 0.1
    with torch.no_grad():  # where torch would take all weights of the encoder at once, past its layers
        assert np.allclose(in_onnx(small, x), small(x), atol=2e-3)
    operators = [node.op_type for node in export_onnx(copy.deepcopy(small), x).graph.node]
    assert operators.count("MatMulInteger") == 8 and operators.count("Conv") == 1


def test_layers_of_other_kinds_are_named():
    model = nn.ModuleDict({"rnn": nn.GRU(4, 4), "up": nn.ConvTranspose1d(4, 4, 2), "pair": nn.Bilinear(4, 4, 2)})
    model["fc"] = linear(4, 2)
    assert list(floats_left(model)) == ["rnn", "up", "pair"] and "GRU" in floats_left(model)["rnn"]


def test_zeros_stay_zero_and_the_old_model_is_untouched():
    layer = linear(6, 4)
    keep = torch.arange(24).reshape(4, 6) % 3 == 0
    Mask({"weight": keep}).apply_(layer)
    before = copy.deepcopy(layer.state_dict())
    small = to_dynamic_int8(layer, 4)
    assert torch.equal(small.weight != 0, (layer.weight != 0) & (small.weight != 0)) and not bool(
        small.weight[~keep].any()
    )
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    assert type(layer) is nn.Linear and not layer._forward_pre_hooks
    x = torch.randn(3, 6)
    assert torch.equal(copy.deepcopy(small)(x), small(x))


def test_scales_and_biases_can_be_trained():
    small = to_dynamic_int8(nn.Sequential(linear(6, 4), nn.ReLU(), linear(4, 2, 1)))
    x, codes = (
        torch.randn(8, 6, generator=torch.Generator().manual_seed(3)),
        small[0].parametrizations["weight"][0].codes.clone(),
    )
    optimiser = torch.optim.SGD(small.parameters(), lr=1e-5)  # a scale moves as many weights as have its output
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(small(x), torch.arange(8) % 2)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and torch.equal(codes, small[0].parametrizations["weight"][0].codes)
    assert np.allclose(in_onnx(small.eval(), x), small(x).detach(), atol=1e-4)


def test_bits_by_layer_and_bad_use():
    model = nn.Sequential(linear(6, 4), nn.ReLU(), linear(4, 2))
    some = to_dynamic_int8(model, {"2": 3})
    assert type(some[0]) is nn.Linear and int(some[2].parametrizations["weight"][0].codes.abs().max()) == 3
    assert type(to_dynamic_int8(model, {"linear": 8, "0": 8})[0]) is not nn.Linear
    with pytest.raises(ValueError, match=r"No linear layer is left.*0: a convolution"):
        to_dynamic_int8(nn.Sequential(nn.Conv2d(1, 1, 3)))
    with pytest.raises(ValueError, match=r"layer conv, which .*calibrated ranges"):
        to_dynamic_int8(Mixed(), {"conv": 8})
    with pytest.raises(ValueError, match=r"kind 'conv'.*linear layers alone"):
        to_dynamic_int8(model, {"conv": 8, "linear": 8})
    with pytest.raises(ValueError, match="2 to 8 bits"):
        to_dynamic_int8(model, 9)
    with pytest.raises(ValueError, match=r"neither a layer nor a kind.*linear"):
        to_dynamic_int8(model, {"lineal": 8})
    with pytest.raises(ValueError, match="No linear layer is left"):
        to_dynamic_int8(to_dynamic_int8(model))
