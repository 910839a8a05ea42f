"""Shapes found by running only what a tensor needs."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from hw_targets.graph.shapes import run_on_zeros


def test_only_what_a_tensor_needs_is_run_and_inputs_that_it_does_not_read_are_no_hindrance() -> None:
    nodes = [
        helper.make_node("Shape", ["images"], ["dims"]),
        helper.make_node("Reshape", ["words", "dims"], ["impossible"]),
    ]
    inputs = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3]),
        helper.make_tensor_value_info("words", TensorProto.INT64, ["n", 5]),
    ]
    graph = helper.make_graph(nodes, "two inputs", inputs, [onnx.ValueInfoProto(name="impossible")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    found = run_on_zeros(model, {}, ["dims"], batch=2)

    assert {name: value.tolist() for name, value in found.items()} == {"dims": [2, 3]}
    assert found["dims"].dtype == np.int64
    assert run_on_zeros(model, {}, ["impossible"], batch=2) == {}
