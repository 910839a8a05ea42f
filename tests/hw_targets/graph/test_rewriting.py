"""A graph rewritten without changing its function never looks as if weights had been removed."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import rewriting
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hw_targets.graph.onnx_graph import GraphError, run_unoptimised
from hw_targets.graph.weights import removed_fraction, sizes

D, TOKENS, CLASSES = 6, 3, 4
node = helper.make_node


def model_of(nodes, tensors, shape):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def perceptron(rng):
    def pruned(*shape):
        return rng.normal(size=shape).astype(np.float32) * (rng.random(shape) < 0.5)

    shared = pruned(D, D)
    nodes = [
        node("MatMul", ["x", "a.weight"], ["a"]),
        node("Add", ["a", "a.bias"], ["ab"]),
        node("Relu", ["ab"], ["h"]),
        node("MatMul", ["h", "b.weight"], ["b"]),
        node("Relu", ["b"], ["r"]),
        node("MatMul", ["r", "b.weight"], ["c"]),
        node("Relu", ["c"], ["s"]),
        node("MatMul", ["s", "copy.weight"], ["d"]),
        node("Add", ["d", "h"], ["e"]),
        node("Gemm", ["e", "fc.weight", "fc.bias"], ["z"], transB=1),
        node("Softmax", ["z"], ["y"]),
    ]
    tensors = {"a.weight": pruned(D, D), "a.bias": pruned(D), "b.weight": shared, "copy.weight": shared}
    return model_of(nodes, {**tensors, "fc.weight": pruned(CLASSES, D), "fc.bias": pruned(CLASSES)}, (D,))


def attention(rng):
    def pruned(*shape):
        return rng.normal(size=shape).astype(np.float32) * (rng.random(shape) < 0.5)

    nodes = [node("MatMul", ["x", f"{each}.weight"], [f"{each}0"]) for each in "qkv"]
    nodes += [node("Add", [f"{each}0", f"{each}.bias"], [each]) for each in "qkv"]
    nodes += [
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["scores"]),
        node("Mul", ["scores", "scale"], ["scaled"]),
        node("Softmax", ["scaled"], ["shares"]),
        node("MatMul", ["shares", "v"], ["mixed"]),
        node("Add", ["mixed", "x"], ["sum"]),
        node("LayerNormalization", ["sum", "norm.weight", "norm.bias"], ["normed"]),
        node("ReduceMean", ["normed", "axis"], ["mean"], keepdims=0),
        node("Gemm", ["mean", "fc.weight", "fc.bias"], ["z"], transB=1),
        node("Softmax", ["z"], ["y"]),
    ]
    tensors = {f"{each}.weight": pruned(D, D) for each in "qkv"} | {f"{each}.bias": pruned(D) for each in "qkv"}
    tensors |= {"norm.weight": pruned(D), "norm.bias": pruned(D), "fc.weight": pruned(CLASSES, D)}
    tensors |= {"fc.bias": pruned(CLASSES), "axis": np.asarray([1]), "scale": np.float32(0.5)}
    return model_of(nodes, tensors, (TOKENS, D))


def outputs(model, x):
    return run_unoptimised(model, ["y"], {"x": x})[0]


def rewritten(model, rewritings, rng):
    new = copy.deepcopy(model)
    for rewrite in rewritings:
        name = rewriting.choose(new, rng)
        if name is not None:
            rewrite(new, name, rng)
    return new


@settings(max_examples=60, deadline=None)
@given(
    base=st.sampled_from([perceptron, attention]),
    rewritings=st.lists(st.sampled_from(rewriting.OF_CONSTANTS), min_size=1, max_size=5),
    seed=st.integers(0, 1 << 16),
)
def test_no_rewriting_removes_weights(base, rewritings, seed):
    check(base, rewritings, seed)


@settings(max_examples=40, deadline=None)
@given(
    base=st.sampled_from([perceptron, attention]),
    rewritings=st.lists(st.sampled_from(rewriting.OF_CONSTANTS), max_size=3),
    hiding=st.sampled_from(rewriting.HIDING),
    seed=st.integers(0, 1 << 16),
)
def test_no_weight_is_hidden_in_activations(base, rewritings, hiding, seed):
    check(base, [*rewritings, hiding], seed, may_be_refused=True)
    check(base, [hiding, *rewritings], seed, may_be_refused=True)


def check(base, rewritings, seed, may_be_refused=False):
    rng = np.random.default_rng(seed)
    model = base(rng)
    new = rewritten(model, rewritings, rng)
    shape = [each.dim_value or 2 for each in model.graph.input[0].type.tensor_type.shape.dim]
    x = rng.normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(outputs(new, x), outputs(model, x), rtol=1e-4, atol=1e-5)
    onnx.checker.check_model(new, full_check=True)
    dense = sizes(model)
    try:
        size = sizes(new)
    except GraphError:
        assert may_be_refused
        return
    assert removed_fraction(size, dense) <= removed_fraction(dense, dense) + 1e-12
    assert size.numbers.stored == rewriting.numbers_stored(new)
