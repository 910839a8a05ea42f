"""Every layer of the networks here is one integer operator in the graph that ONNX Runtime runs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from harness.entries.export import export_onnx
from harness.models import build_model
from hw_targets.cpu.optimised import INTEGER_OPERATORS, arithmetic, integer_share, optimised, with_arithmetic
from hw_targets.cpu.settings import CpuOptions
from hw_targets.graph.onnx_graph import run_unoptimised
from hw_targets.graph.trace import trace
from hw_targets.graph.weights import sizes
from pruning.criteria import Magnitude
from pruning.layers import weight_layers
from pruning.masking import make_mask
from pruning.quantise import to_int8
from pruning.ratios import Uniform
from pruning.shrinking import coupled, prunable_filters, shrink

ONE = CpuOptions(intra_threads=1)
FLOATS = {"Conv", "FusedConv", "Gemm", "MatMul", "FusedMatMul", "BatchNormalization", "Relu", "Clip", "Add", "MaxPool"}
SHAPES = {"lenet300": (1, 28, 28), "digits_mlp": (1, 8, 8)}


def inputs_of(name: str, n: int) -> torch.Tensor:
    return torch.randn(n, *SHAPES.get(name, (3, 32, 32)), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["resnet20", "vgg_cifar", "mobilenetv2_cifar_half", "lenet300", "digits_mlp"])
def test_all_layers_multiply_integers(name):
    model, inputs = build_model(name, seed=0).eval(), inputs_of(name, 4)
    layers = len(weight_layers(model))
    small = to_int8(model, data=[(inputs, torch.zeros(4))])
    exported = export_onnx(small, inputs)
    kinds = Counter(node.op_type for node in optimised(exported, ONE).graph.node)
    assert sum(kinds[kind] for kind in INTEGER_OPERATORS) == layers
    assert not FLOATS & set(kinds) and kinds["QuantizeLinear"] == 1  # of the input
    assert set(arithmetic(exported, ONE).values()) == {"int8"}
    with torch.no_grad():
        expected = small(inputs).numpy()
    found = run_unoptimised(exported, ["output"], {"input": inputs.numpy()})[0]
    # Equal but for values that lie between two codes: a step of one value moves what it reaches by little.
    assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()
    assert np.array_equal(found.argmax(1), expected.argmax(1))


def test_a_smaller_network_with_pruned_weights_too():
    """Half of the filters taken out, then half of the weights zero: what the file holds is counted as it is."""
    model, inputs = build_model("resnet20", seed=0).eval(), inputs_of("resnet20", 4)
    names = prunable_filters(model, inputs[:2])
    mask = make_mask(model, criterion="magnitude", granularity="filter", ratio=Uniform(0.5), layers=names)
    model = shrink(model, coupled(model, mask, inputs[:2]), inputs[:2])
    mask = make_mask(model, criterion=Magnitude(), granularity="element", ratio=Uniform(0.5))
    mask.apply_(model)
    small = to_int8(model, data=[(inputs, torch.zeros(4))])
    exported = export_onnx(small, inputs)
    assert set(arithmetic(exported, ONE).values()) == {"int8"}
    size, weights = sizes(exported), {name: layer.weight for name, layer in weight_layers(small).items()}
    assert size.weights == sum(weight.numel() for weight in weights.values())
    assert size.nonzero == sum(int(weight.count_nonzero()) for weight in weights.values()) <= 0.5 * size.weights + 20
    for layer in trace(exported, inputs[:1].numpy()):
        assert np.array_equal(layer.weight, weights[layer.name].detach().numpy()) and layer.weight_bits == 8
        assert layer.scale is not None and len(np.unique(layer.inputs)) <= 256


def test_what_stays_in_floats_shows_in_the_rows():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(1, 2), nn.LSTM(8, 6, batch_first=True), Last(), nn.Linear(6, 4)).eval()
    inputs = inputs_of("digits_mlp", 3)
    with pytest.warns(UserWarning, match="no integers for LSTM"):
        small = to_int8(model, data=[(inputs, torch.zeros(3))])
    exported = export_onnx(small, inputs)
    how, layers = arithmetic(exported, ONE), trace(exported, inputs[:1].numpy())
    assert [how[layer.name] for layer in layers] == ["float32", "int8"]
    lstm, linear = layers[0].macs_dense, 24
    assert integer_share(layers, how).value == pytest.approx(linear / (lstm + linear))
    rows = with_arithmetic([{"name": layer.name} for layer in layers] + [{"name": "elsewhere"}], how)
    assert [row.get("arithmetic") for row in rows] == ["float32", "int8", None]
    # Without optimisation the runtime makes no integer operators.
    assert set(arithmetic(exported, CpuOptions(intra_threads=1, optimisation="disabled")).values()) == {"float32"}


class Last(nn.Module):
    def forward(self, states):
        return states[0][:, -1]
