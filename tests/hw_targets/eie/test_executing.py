"""Every form in which a graph writes a layer, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_reference import reference

from hw_targets.eie.network import simulate_network
from hw_targets.eie.session import EieSession


def gemm(inputs: list[str], **attributes: float) -> onnx.NodeProto:
    return helper.make_node("Gemm", inputs, ["y"], **attributes)


SEVEN = np.random.default_rng(3).choice([-0.5, -0.25, 0, 0.25, 0.5], size=(4, 4)).astype(np.float32)
NODES = {
    "a Gemm with both factors": [gemm(["x", "w.weight", "c"], alpha=2.0, beta=-0.5)],
    "what it adds is computed": [helper.make_node("Relu", ["x"], ["r"]), gemm(["x", "w.weight", "r"], transB=1)],
    "nothing added": [gemm(["x", "w.weight", ""], transB=1)],
    "weights on the left": [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["w.weight", "t"], ["z"]),
        helper.make_node("Transpose", ["z"], ["y"], perm=[1, 0]),
    ],
    "samples in columns": [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
        gemm(["t", "w.weight"], transA=1),
    ],
    "the same weights twice": [
        helper.make_node("MatMul", ["x", "w.weight"], ["h"]),
        helper.make_node("MatMul", ["h", "w.weight"], ["y"]),
    ],
    "a convolution in one dimension": [
        helper.make_node("Unsqueeze", ["x", "one"], ["image"]),
        helper.make_node("Conv", ["image", "kernel.weight"], ["z"], pads=[1, 1]),
        helper.make_node("Squeeze", ["z", "one"], ["y"]),
    ],
    "a convolution whose bias is computed": [  # as the exporter writes that there is none
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Unsqueeze", ["most", "zero"], ["bias"]),
        helper.make_node("Unsqueeze", ["x", "one"], ["image"]),
        helper.make_node("Conv", ["image", "kernel.weight", "bias"], ["z"], pads=[1, 1]),
        helper.make_node("Squeeze", ["z", "one"], ["y"]),
    ],
    "padding chosen by the operator": [
        helper.make_node("Unsqueeze", ["x", "one"], ["image"]),
        helper.make_node("Conv", ["image", "kernel.weight"], ["z"], auto_pad="SAME_UPPER"),
        helper.make_node("Squeeze", ["z", "one"], ["y"]),
    ],
}


@pytest.mark.parametrize("name", NODES)
def test_every_form_of_a_layer_gives_what_the_runtime_gives(name, build):
    stored = {
        "w.weight": SEVEN,
        "c": np.ones((1, 4), np.float32),
        "one": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "kernel.weight": SEVEN[:1, None, :3],
    }
    read = {each for node in NODES[name] for each in node.input}
    model = build(NODES[name], {key: value for key, value in stored.items() if key in read}, "y")
    inputs = np.random.default_rng(4).normal(size=(7, 4)).astype(np.float32)
    session = EieSession(model, inputs)
    np.testing.assert_allclose(session.run(inputs), reference(model, inputs), atol=2e-3)
    found = simulate_network(model, session, inputs)
    assert len(found.cycles) == 7 and found.macs_share == 1
    alone = simulate_network(model, session, inputs[3:4])
    assert alone.cycles[0] == found.cycles[3]


def test_weights_that_two_layers_share_are_stored_once(build):
    inputs = np.ones((2, 4), np.float32)
    once = build([helper.make_node("MatMul", ["x", "w.weight"], ["y"])], {"w.weight": SEVEN}, "y")
    twice = build(NODES["the same weights twice"], {"w.weight": SEVEN}, "y")
    one, two = (simulate_network(model, EieSession(model, inputs), inputs) for model in (once, twice))
    assert [layer.repeated for layer in two.layers] == [False, True]
    assert two.weights_bits == one.weights_bits and two.padding_fraction == one.padding_fraction


def test_half_precision_stays_half_precision(build):
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=onnx.TensorProto.FLOAT16),
        helper.make_node("MatMul", ["h", "w.weight"], ["z"]),
        helper.make_node("Relu", ["z"], ["r"]),
        helper.make_node("Cast", ["r"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    model = build(nodes, {"w.weight": SEVEN.astype(np.float16)}, "y")
    inputs = np.random.default_rng(4).normal(size=(7, 4)).astype(np.float32)
    np.testing.assert_allclose(EieSession(model, inputs).run(inputs), reference(model, inputs), atol=1e-2)


def test_nan_that_the_host_made_stays_nan(build):
    """No code means it: it must not become a number on the way, nor spread to other samples."""
    nodes = [helper.make_node("Sqrt", ["x"], ["r"]), helper.make_node("MatMul", ["r", "w.weight"], ["y"])]
    model = build(nodes, {"w.weight": SEVEN}, "y")
    session = EieSession(model, np.ones((2, 4), np.float32))
    found = session.run(np.array([[1, 1, -1, 1], [1, 1, 1, 1]], np.float32))
    assert np.isnan(found[0]).any() and np.isfinite(found[1]).all()
