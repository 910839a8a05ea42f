"""What the trust boundary refuses, one broken rule at a time."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.entries.admit import ALLOWED_OPERATORS, admit
from harness.entries.rules import RuleBroken
from harness.tasks.task import InputContract

CONTRACT = InputContract(shape=(4,), classes=3)


def linear(**changes) -> onnx.ModelProto:
    """`[batch, 4] → [batch, 3]`; `changes` replace single parts."""
    weight = changes.get("weight", np.ones((3, 4), np.float32))
    nodes = changes.get("nodes") or [helper.make_node("Gemm", ["input", "w"], ["output"], name="fc", transB=1)]
    graph = helper.make_graph(
        nodes,
        "net",
        changes.get("inputs") or [value("input", ["batch", 4])],
        changes.get("outputs") or [value("output", ["batch", 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=changes.get("opsets") or [helper.make_opsetid("", 18)], ir_version=10)


def value(name: str, shape: list, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def rule_of(tmp_path, model: onnx.ModelProto | bytes, limit: int = 1 << 20) -> str:
    file = tmp_path / "model.onnx"
    file.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises(RuleBroken) as caught:
        admit(file, CONTRACT, limit_bytes=limit)
    assert len(str(caught.value)) > 20
    return caught.value.rule


def test_a_good_model_comes_back_unchanged(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(linear().SerializeToString())
    assert admit(file, CONTRACT, limit_bytes=1 << 20) == linear()


def test_size_and_form(tmp_path):
    assert rule_of(tmp_path, linear(), limit=10) == "file_too_large"
    assert rule_of(tmp_path, b"\x80\x04\x95 a pickle, perhaps") == "unreadable_model"
    assert rule_of(tmp_path, b"") in {"unreadable_model", "opset_not_supported"}
    assert rule_of(tmp_path, linear().SerializeToString()[:60]) in {"unreadable_model", "invalid_graph", "wrong_output"}


def test_external_data(tmp_path):
    model = linear()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")
    assert rule_of(tmp_path, model) == "external_data"


def test_operators_off_the_list(tmp_path):
    unknown = [helper.make_node("RandomNormal", [], ["noise"], shape=[3]), *linear().graph.node]
    assert rule_of(tmp_path, linear(nodes=unknown)) == "operator_not_allowed"
    foreign = [helper.make_node("FusedConv", ["input", "w"], ["output"], domain="com.microsoft")]
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    assert rule_of(tmp_path, linear(nodes=foreign, opsets=domains)) == "operator_not_allowed"
    assert rule_of(tmp_path, linear(opsets=[helper.make_opsetid("", 7)])) == "opset_not_supported"
    assert not ALLOWED_OPERATORS & {"If", "Loop", "Scan", "RandomUniform", "Multinomial", "SequenceMap"}


def test_control_flow_hidden_in_an_allowed_operator(tmp_path):
    node = helper.make_node("Relu", ["input"], ["output"])
    node.attribute.append(helper.make_attribute("body", linear().graph))
    assert rule_of(tmp_path, linear(nodes=[node])) == "operator_not_allowed"


def test_a_weight_mixed_with_activations_is_named(tmp_path):
    nodes = [
        helper.make_node("Sub", ["input", "input"], ["nothing"]),
        helper.make_node("ReduceMean", ["nothing"], ["zero"], keepdims=0),
        helper.make_node("Add", ["w", "zero"], ["weight"]),
        helper.make_node("Gemm", ["input", "weight"], ["output"], name="fc", transB=1),
    ]
    model = linear(nodes=nodes, weight=np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(RuleBroken, match="'fc': the stored tensor 'w' is a factor") as caught:
        admit(file, CONTRACT, limit_bytes=1 << 20)
    assert caught.value.rule == "not_countable"


def test_local_functions(tmp_path):
    model = linear()
    body = [helper.make_node("Relu", ["x"], ["y"])]
    model.functions.append(helper.make_function("", "Relu", ["x"], ["y"], body, [helper.make_opsetid("", 18)]))
    assert rule_of(tmp_path, model) == "foreign_code"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"inputs": [value("input", ["batch", 5])], "weight": np.ones((3, 5), np.float32)}, "wrong_input"),
        ({"inputs": [value("input", [1, 4])], "outputs": [value("output", [1, 3])]}, "wrong_input"),
        ({"inputs": [value("input", ["batch", 4]), value("label", ["batch"])]}, "wrong_input"),
        ({"outputs": [value("output", ["batch", 2])], "weight": np.ones((2, 4), np.float32)}, "wrong_output"),
        ({"outputs": [value("output", ["batch", 3]), value("w", [3, 4])]}, "wrong_output"),
        ({"weight": np.ones((3, 9), np.float32)}, "invalid_graph"),
        ({"weight": np.full((3, 4), np.nan, np.float32)}, "not_finite"),
        ({"weight": np.full((3, 4), np.inf, np.float32)}, "not_finite"),
    ],
)
def test_interface_and_values(tmp_path, changes, rule):
    assert rule_of(tmp_path, linear(**changes)) == rule
