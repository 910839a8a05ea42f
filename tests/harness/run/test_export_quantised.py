"""What was quantised stays so in the file: codes and tables or integers and scales, no floats in their place."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from harness.evaluate import OrtSession
from harness.run.admit import admit
from harness.run.export import export_onnx
from harness.tasks.task import InputContract
from hw_targets.graph import run_unoptimised
from hw_targets.trace import trace
from hw_targets.weights import sizes
from pruning.prune import make_mask
from pruning.quantise import quantise_aware, share_weights, to_int8
from pruning.ratios import Uniform

CONTRACT = InputContract(shape=(3, 8, 8), classes=10)
LAYERS = ["conv", "wide", "fc"]


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.wide = nn.Conv2d(16, 16, 3, groups=2, bias=False)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        return self.fc(torch.relu(self.wide(x)).mean((2, 3)))


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small().eval()


@pytest.fixture
def images():
    return torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def delivered(model, images, tmp_path) -> onnx.ModelProto:
    """Exported, written, admitted, and checked to compute what torch computes."""
    file = tmp_path / "model.onnx"
    file.write_bytes(export_onnx(model, images).SerializeToString())
    admitted = admit(file, CONTRACT, limit_bytes=1 << 20)
    with torch.no_grad():
        expected = model(images).numpy()
    assert np.abs(run_unoptimised(admitted, ["output"], {"input": images.numpy()})[0] - expected).max() < 1e-4
    assert np.abs(OrtSession(admitted).run(images.numpy()) - expected).max() < 1e-4
    return admitted


def test_codes_and_codebooks_reach_the_file_and_the_trace(model, images, tmp_path):
    dense = sizes(delivered(model, images, tmp_path))
    mask = make_mask(model, criterion="magnitude", granularity="element", ratio=Uniform(0.75))
    shared = share_weights(model, {"conv": 5, "fc": 3}, mask)
    exported = delivered(shared, images, tmp_path)
    layers = trace(exported, images.numpy())
    assert [layer.name for layer in layers] == LAYERS
    for layer, bits in zip(layers, (5, 5, 3), strict=True):
        weight = shared.get_submodule(layer.name).weight.detach().numpy()
        assert np.array_equal(layer.weight, weight)
        assert np.array_equal(layer.weight != 0, mask[f"{layer.name}.weight"].numpy())
        assert layer.weight_bits == 8 and len(layer.codebook) == 2**bits
        assert layer.codebook[0] == 0 and np.isin(layer.weight, layer.codebook).all()
    size = sizes(exported)
    floats_besides = 4 * (dense.parameters - dense.weights)
    assert dense.bytes_stored - floats_besides == 4 * size.weights
    assert size.bytes_stored - floats_besides < size.weights + 4 * 3 * 32 + 100  # a byte a code, and the tables
    assert size.bytes_encoded < size.bytes_stored  # 3 or 5 bits a code, and sparse
    assert (size.weights, size.parameters) == (dense.weights, dense.parameters)


def test_a_dense_codebook_of_16_values_is_counted_with_4_bits(model, images, tmp_path):
    size = sizes(delivered(share_weights(model, 4), images, tmp_path))
    assert [layer.encoding for layer in size.layers] == ["dense"] * 3
    assert [layer.bits_encoded for layer in size.layers] == [4 * layer.weights + 16 * 32 for layer in size.layers]


@pytest.mark.parametrize("per_channel", [True, False])
def test_integer_weights_and_their_scales(model, images, tmp_path, per_channel):
    small = to_int8(model, per_channel=per_channel)
    exported = delivered(small, images, tmp_path)
    for layer, name in zip(trace(exported, images.numpy()), LAYERS, strict=True):
        weight = small.get_submodule(name).weight.detach().numpy()
        assert (layer.name, layer.weight_bits) == (name, 8)
        assert np.array_equal(layer.weight, weight)
        assert layer.scale.size == (len(weight) if per_channel else 1)
    size = sizes(exported)
    assert size.bytes_stored < 0.3 * sizes(export_onnx(model, images)).bytes_stored
    assert sum(tensor.data_type == onnx.TensorProto.INT8 for tensor in exported.graph.initializer) == 3


def test_quantised_activations_pass_a_quantise_dequantise_pair(model, images, tmp_path):
    def train(model, *, epochs, learning_rate=None, mask=None):
        optimiser = torch.optim.SGD(model.train().parameters(), lr=0.01)
        for _ in range(epochs):
            model(images).square().mean().backward()
            optimiser.step()
        return model.eval()

    data = [(images, torch.zeros(5))]
    trained = quantise_aware(model, train=train, epochs=2, data=data)
    exported = delivered(trained, images, tmp_path)
    kinds = [node.op_type for node in exported.graph.node]
    assert kinds.count("QuantizeLinear") == 3 and kinds.count("DequantizeLinear") == 6
    for layer in trace(exported, images.numpy()):
        assert len(np.unique(layer.inputs)) <= 256 and layer.scale is not None


def test_a_layer_of_zeros_alone(images, tmp_path, model):
    nn.init.zeros_(model.wide.weight)
    size = sizes(delivered(share_weights(model, 4), images, tmp_path))
    assert size.layers[1].nonzero == 0
    delivered(to_int8(model), images, tmp_path)
