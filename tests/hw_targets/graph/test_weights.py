from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from hw_targets.graph.weights import compression_ratio, removed_fraction, sizes


def test_tiny_model_by_hand(tiny):
    size = sizes(tiny)
    assert (size.weights, size.nonzero, size.parameters) == (32 + 24, 16 + 24, 32 + 24 + 8)
    assert size.bytes_stored == size.bytes_dense == 4 * 64
    # a: 4 of 8 rows are zero: bitmap 16·32 + 32, csr 16·(32 + 2) + 9·5 = 589, relative 16·36 + 5·5.
    assert [(layer.encoding, layer.bits_encoded) for layer in size.layers] == [("bitmap", 544), ("dense", 768)]
    assert size.bytes_encoded == (544 + 768) // 8 + 4 * 8


def test_a_mask_and_a_removed_channel_count_alike(build):
    def model(weight):
        return build([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight}, "y")

    dense = sizes(model(np.ones((4, 6), np.float32)))
    masked = np.ones((4, 6), np.float32)
    masked[:, 3:] = -0.0
    for entry in (sizes(model(masked)), sizes(model(np.ones((4, 3), np.float32)))):
        assert removed_fraction(entry, dense) == 0.5
        assert compression_ratio(entry, dense) == 2
    with pytest.raises(ValueError, match="no non-zero weight"):
        compression_ratio(sizes(model(np.zeros((4, 6), np.float32))), dense)


def test_codebook_and_scale_make_values_narrower(build):
    codes = np.ones((16, 64), np.uint8)
    nodes = [
        helper.make_node("Cast", ["codes"], ["wide"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["codebook", "wide"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    codebook = np.arange(16, dtype=np.float32)
    size = sizes(build(nodes, {"codes": codes, "codebook": codebook}, "y", ("n", 16)))
    assert size.bytes_stored == 1024 + 64
    assert size.bytes_encoded == 1024 * 4 // 8 + 64
    assert size.parameters == 1024


def test_a_narrow_factor_does_not_make_a_float_weight_narrow(build):
    nodes = [
        helper.make_node("Cast", ["mask"], ["factor"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["factor", "w"], ["masked"]),
        helper.make_node("MatMul", ["x", "masked"], ["y"]),
    ]
    weight = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    size = sizes(build(nodes, {"mask": np.ones((4, 6), np.int8), "w": weight}, "y"))
    assert size.bytes_encoded == 4 * 24
    assert size.bytes_stored == 5 * 24


def test_shared_weights_count_once(build):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("MatMul", ["h", "w"], ["y"])]
    assert sizes(build(nodes, {"w": np.ones((4, 4), np.float32)}, "y")).weights == 16


def test_resnet20_parameters(resnet20):
    network, model = resnet20
    learned = sum(parameter.numel() for parameter in network.parameters())
    running = sum(b.numel() for name, b in network.named_buffers() if "running" in name)
    assert sizes(model).parameters == learned + running


def test_a_layer_that_has_lost_all_its_outputs_counts_as_nothing():
    nodes = [
        helper.make_node("MatMul", ["x", "none"], ["a"]),
        helper.make_node("MatMul", ["x", "w"], ["b"]),
        helper.make_node("Concat", ["a", "b"], ["y"], axis=1),
    ]
    tensors = {"none": np.zeros((8, 0), np.float32), "w": np.ones((8, 3), np.float32)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3])],
        [onnx.numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    size = sizes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))
    assert (size.weights, size.numbers.stored) == (24, 24)
