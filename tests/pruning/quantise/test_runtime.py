"""What ONNX Runtime makes of small networks of integers: the same numbers, and an integer operator for each layer."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from harness.entries.export import export_onnx
from hw_targets.cpu.optimised import arithmetic
from hw_targets.cpu.settings import CpuOptions
from pruning.quantise import layers_in_floats, quantise_aware, to_int8

PIXELS, ROW = (3, 8, 8), (8,)


class Unfollowed(nn.Module):
    """A network with an everyday check that torch.fx cannot follow."""

    def __init__(self, *steps: nn.Module) -> None:
        super().__init__()
        self.steps = nn.Sequential(*steps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] != 3 and x.ndim > 2:
            raise ValueError("RGB, please")
        return self.steps(x)


class Added(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.last = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(x + torch.relu(self.inner(x))))


def softly(*, softmax: nn.Module, scale: float) -> nn.Module:
    """Convolutions around a softmax whose inputs span about `scale`."""
    first = nn.Conv2d(3, 4, 3)
    first.weight.data.mul_(scale)
    first.bias.data.zero_()
    return nn.Sequential(first, softmax, nn.Conv2d(4, 3, 1))


def circular() -> nn.Module:
    return nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")


NETWORKS = {
    "softmax": (lambda: softly(softmax=nn.Softmax(1), scale=0.2), PIXELS, True),
    "softmax of next to nothing": (lambda: softly(softmax=nn.Softmax2d(), scale=1e-3), PIXELS, True),
    "softmax, unfollowed": (lambda: Unfollowed(*softly(softmax=nn.Softmax(1), scale=0.02)), PIXELS, False),
    "batch norm behind ReLU": (
        lambda: nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 3)),
        ROW,
        True,
    ),
    "layer norm behind ReLU6": (
        lambda: nn.Sequential(nn.Linear(8, 8), nn.ReLU6(), nn.LayerNorm(8), nn.Linear(8, 3)),
        ROW,
        True,
    ),
    "layer norm, unfollowed": (
        lambda: Unfollowed(nn.Linear(8, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3)),
        ROW,
        False,
    ),
    "a sum behind ReLU": (Added, ROW, True),
    "circular padding": (lambda: nn.Sequential(circular(), nn.ReLU(), nn.Conv2d(4, 2, 3)), PIXELS, True),
    "circular padding, unfollowed": (lambda: Unfollowed(circular(), nn.ReLU(), nn.Conv2d(4, 2, 3)), PIXELS, False),
}


def answers(model: onnx.ModelProto, x: torch.Tensor, level: onnxruntime.GraphOptimizationLevel) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]


TRAINED = ["softmax", "circular padding, unfollowed"]


@pytest.mark.parametrize(("name", "trained"), [(each, False) for each in NETWORKS] + [(each, True) for each in TRAINED])
def test_the_optimised_graph_computes_the_same_in_integers(name, trained):
    torch.manual_seed(0)
    make, shape, followed = NETWORKS[name]
    model, x = make().eval(), torch.randn(16, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error" if followed else "ignore")
        if trained:
            small = quantise_aware(model, train=lambda model, **_: model, epochs=1, data=[(x, None)])
        else:
            small = to_int8(model, data=[(x, None)])
    exported = export_onnx(copy.deepcopy(small), x)
    with torch.no_grad():
        expected, floats = small(x).numpy(), model(x).numpy()
    largest = abs(floats).max()
    assert abs(expected - floats).max() < 0.05 * largest
    for level in (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    ):
        assert abs(answers(exported, x, level) - expected).max() < 0.02 * largest, level
    assert not layers_in_floats(small)
    assert set(arithmetic(exported, CpuOptions()).values()) == {"int8"}


class Shortcut(nn.Module):
    """One of ResNet's, without weights: every other pixel, and channels of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, 2, padding=1)
        self.last = nn.Conv2d(8, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        padded = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return self.last(torch.relu(self.second(x) + padded))


def test_zeros_are_padded_as_codes(tmp_path):
    torch.manual_seed(0)
    model, x = Shortcut().eval(), torch.randn(16, *PIXELS)
    small = to_int8(model, data=[(x, None)])
    exported = export_onnx(copy.deepcopy(small), x)
    expected = small(x).detach().numpy()
    found = answers(exported, x, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    assert abs(found - expected).max() < 0.02 * abs(expected).max()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(exported.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert kinds.count("Pad") == 1 and kinds.count("QLinearAdd") == 1
    assert kinds.count("QuantizeLinear") == 1 and kinds.count("DequantizeLinear") == 1  # the input, the output
    assert not layers_in_floats(small)
