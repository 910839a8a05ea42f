"""What was quantised stays so in the file: codes and tables or integers and scales, no floats in their place."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from harness.entries.admit import admit
from harness.entries.export import export_onnx
from harness.run.evaluate import OrtSession
from harness.tasks.task import InputContract
from hw_targets.graph.onnx_graph import run_unoptimised
from hw_targets.graph.trace import trace
from hw_targets.graph.weights import sizes
from pruning.mask import Mask
from pruning.masking import make_mask
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
    dense = sizes(export_onnx(model, images))
    keep = {
        **make_mask(model, criterion="magnitude", granularity="element", ratio=Uniform(0.75)),
        "wide.weight": torch.zeros(16, 8, 3, 3, dtype=torch.bool),
    }
    shared = share_weights(model, {"conv": 5, "wide": 5, "linear": 3}, Mask(keep))
    exported = delivered(shared, images, tmp_path)
    for layer, name, values in zip(trace(exported, images.numpy()), LAYERS, (32, 1, 8), strict=True):
        assert (layer.name, layer.weight_bits) == (name, 8)
        assert np.array_equal(layer.weight, shared.get_submodule(name).weight.detach().numpy())
        assert np.array_equal(layer.weight != 0, keep[f"{name}.weight"].numpy())
        assert len(np.unique(layer.codebook)) == values and layer.codebook[0] == 0
    size = sizes(exported)
    besides = dense.bytes_stored - 4 * dense.weights
    assert size.bytes_stored - besides < size.weights + 4 * (32 + 2 + 8) + 200  # a byte a code, tables, shapes
    assert size.bytes_encoded < size.bytes_stored  # 3 or 5 bits a code, and sparse
    assert (size.weights, size.parameters) == (dense.weights, dense.parameters)


def test_integer_weights_and_a_scale_for_each_output(model, images, tmp_path):
    small = to_int8(model)
    exported = delivered(small, images, tmp_path)
    for layer, name in zip(trace(exported, images.numpy()), LAYERS, strict=True):
        weight = small.get_submodule(name).weight.detach().numpy()
        assert (layer.name, layer.weight_bits) == (name, 8)
        assert np.array_equal(layer.weight, weight)
        assert np.allclose(layer.scale, model.get_submodule(name).weight.detach().flatten(1).abs().amax(1) / 127)
    assert [t.data_type for t in exported.graph.initializer].count(onnx.TensorProto.INT8) == 3
    assert not [t.name for t in exported.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) > 1]


def test_a_codebook_and_integers_side_by_side(model, images, tmp_path):
    mixed = to_int8(share_weights(model, {"wide": 4}), {"conv": 8, "fc": 7}, per_channel=False)
    layers = sizes(delivered(mixed, images, tmp_path)).layers
    assert [(layer.name, layer.encoding) for layer in layers] == [(name, "dense") for name in LAYERS]
    assert [layer.bits_encoded for layer in layers] == [432 * 8 + 32, 1152 * 4 + 16 * 32, 160 * 8 + 32]


def test_quantised_activations_pass_a_quantise_dequantise_pair(model, images, tmp_path):
    def train(model, *, epochs, learning_rate=None, mask=None):
        optimiser = torch.optim.SGD(model.train().parameters(), lr=0.01)
        for _ in range(epochs):
            model(images).square().mean().backward()
            optimiser.step()
        return model.eval()

    data = [(images, torch.zeros(5))]
    trained = quantise_aware(model, 7, train=train, epochs=2, data=data)  # 8 would saturate on older processors
    exported = delivered(trained, images, tmp_path)
    kinds = [node.op_type for node in exported.graph.node]
    # Rounded are the images, three tensors between the layers and one of them without its dimensions
    # of pixels; besides, three weights and their biases, of which `wide` has none, are widened.
    assert kinds.count("QuantizeLinear") == 5 and kinds.count("DequantizeLinear") == 5 + 3 + 2
    assert "BatchNormalization" not in kinds and "Relu" not in kinds
    for layer in trace(exported, images.numpy()):
        assert len(np.unique(layer.inputs)) <= 256 and layer.scale is not None


def test_a_runtime_looks_codes_up_once_when_it_loads_the_model(model, images, tmp_path):
    exported = delivered(share_weights(model, 4), images, tmp_path)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "folded.onnx"), 3
    onnxruntime.InferenceSession(exported.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert "Gather" in {node.op_type for node in exported.graph.node}
    assert "Gather" not in {node.op_type for node in onnx.load(tmp_path / "folded.onnx").graph.node}
