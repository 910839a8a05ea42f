"""Models small enough to check by hand, and ResNet-20 as the harness exports it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def model_of(nodes, tensors, output, input_shape=("n", 4), opset=18) -> onnx.ModelProto:
    """A model of one input `x` and the stored `tensors`."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(input_shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return model


@pytest.fixture
def build():
    return model_of


@pytest.fixture
def tiny() -> onnx.ModelProto:
    """x `[n, 4]` → linear 4×8 → ReLU → linear 8×3, with half of the first weight zero."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(8, 4)).astype(np.float32)
    first[:4] = 0
    tensors = {"a.weight": first, "a.bias": np.ones(8, np.float32), "b.weight": np.ones((3, 8), np.float32)}
    nodes = [
        helper.make_node("Gemm", ["x", "a.weight", "a.bias"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "b.weight"], ["y"], transB=1),
    ]
    return model_of(nodes, tensors, "y")


@pytest.fixture(scope="session")
def resnet20():
    """`(torch model in eval mode, ONNX model)`, the weights random."""
    import torch

    from harness.entries.export import export_onnx
    from harness.models import build_model

    network = build_model("resnet20", seed=0).eval()
    return network, export_onnx(network, torch.zeros(2, 3, 32, 32))
