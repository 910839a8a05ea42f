"""Products of integers count, trace and compute as the products of reals that they stand for."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hw_targets.graph.integers import has_ranges_at_run_time, with_real_products
from hw_targets.graph.onnx_graph import GraphError, compute_nodes, run_unoptimised
from hw_targets.graph.trace import trace
from hw_targets.graph.weights import sizes

ROUND = helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "x_scale", "x_zero"])
CAST = helper.make_node("Cast", ["sums"], ["wide"], to=TensorProto.FLOAT)


def model_of(nodes, tensors, output, input_shape=("n", 4)) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "integers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(input_shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def layer(zero_point="w_zero"):
    return helper.make_node("MatMulInteger", ["codes", "fc.weight", "x_zero", zero_point], ["sums"])


def node(operator, inputs, output):
    return helper.make_node(operator, inputs, [output])


# Ways to write the multiplication by both scales behind a product.
ENDINGS = {
    "product of scales": [node("Mul", ["x_scale", "w_scale"], "scales"), node("Mul", ["wide", "scales"], "y")],
    "swapped": [node("Mul", ["w_scale", "x_scale"], "scales"), node("Mul", ["scales", "wide"], "y")],
    "one after the other": [node("Mul", ["wide", "w_scale"], "half"), node("Mul", ["x_scale", "half"], "y")],
}


def weights(seed, shape=(4, 6), dtype=np.int8):
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    return rng.integers(info.min + 1, info.max, shape).astype(dtype)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(ENDINGS)),
    st.sampled_from(["for all", "one in a row", "for each output", "row for each"]),
    st.sampled_from([None, "for all", "for each output"]),
    st.sampled_from([np.int8, np.uint8]),
    st.integers(0, 99),
)
def test_scaled_products_compute_the_same_and_are_layers(ending, scale, zero_point, dtype, seed):
    rng = np.random.default_rng(seed)
    codes = weights(seed, dtype=dtype)
    shapes = {"for all": (), "one in a row": (1,), "for each output": (6,), "row for each": (1, 6)}
    scales = rng.uniform(0.001, 0.1, shapes[scale]).astype(np.float32)
    tensors = {"fc.weight": codes, "w_scale": scales}
    zero = np.zeros(1, np.int64)
    if zero_point is not None:
        zero = weights(seed + 1, shapes[zero_point], dtype)
        tensors["w_zero"] = zero
    codes[:2] = zero  # two inputs that count for nothing
    model = model_of([ROUND, layer("w_zero" if zero_point else ""), CAST, *ENDINGS[ending]], tensors, "y")
    onnx.shape_inference.infer_shapes(with_real_products(model), check_type=True, strict_mode=True)
    x = rng.normal(size=(5, 4)).astype(np.float32)
    (expected,) = run_unoptimised(model, ["y"], {"x": x})
    (real,) = run_unoptimised(with_real_products(model), ["y"], {"x": x})
    assert np.allclose(real, expected, atol=1e-4 * np.abs(expected).max())
    (found,) = trace(model, x)
    exact = (codes.astype(np.float64) - zero) * scales.astype(np.float64)
    assert (found.name, found.kind, found.weight_bits) == ("fc", "linear", 8)
    assert np.allclose(found.weight, exact.T, rtol=1e-6)
    assert np.abs(found.inputs - x).max() <= (max(x.max(), 0) - min(x.min(), 0)) / 255 * 0.51
    size = sizes(model)
    assert (size.weights, size.nonzero) == (24, np.count_nonzero(exact)) and size.nonzero <= 12
    assert size.bytes_stored == 24 + 4 * scales.size + (zero.size if zero_point else 0)


def test_a_layer_without_known_scales_has_its_codes_as_weights():
    """Shifted, doubled by a row of activations, or handed on as integers: the zeros are known all the same."""
    codes = weights(0)
    codes[0] = 7
    stored = {"fc.weight": codes, "w_scale": np.ones(6, np.float32), "w_zero": np.int8(7)}
    kept = helper.make_node("Cast", ["sums"], ["y"], to=TensorProto.FLOAT)
    other = node("Mul", ["wide", "w_scale"], "y")
    row = node("Mul", ["scales", "wide"], "y")
    for tail in (
        [kept],
        [CAST, other],
        [CAST, node("ReduceMax", ["x"], "top"), node("Mul", ["top", "w_scale"], "scales"), row],
    ):
        model = model_of([ROUND, layer(), *tail], stored, "y")
        (found,) = trace(model, np.ones((2, 4), np.float32))
        assert np.array_equal(found.weight, codes.T.astype(np.float32) - 7) and found.weight_bits == 8
        assert sizes(model).nonzero == np.count_nonzero(codes - np.int16(7))
        x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
        real = run_unoptimised(with_real_products(model), ["y"], {"x": x})[0]
        assert np.allclose(real, run_unoptimised(model, ["y"], {"x": x})[0], rtol=1e-5)


def test_sums_that_something_else_reads_stay():
    model = model_of(
        [ROUND, layer(), CAST, *ENDINGS["swapped"], helper.make_node("Abs", ["sums"], ["also"])],
        {"fc.weight": weights(0), "w_scale": np.float32(0.1), "w_zero": np.int8(0)},
        "y",
    )
    model.graph.output.append(helper.make_tensor_value_info("also", TensorProto.INT32, None))
    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    for before, after in zip(
        run_unoptimised(model, ["y", "also"], {"x": x}),
        run_unoptimised(with_real_products(model), ["y", "also"], {"x": x}),
        strict=True,
    ):
        assert np.allclose(before, after, rtol=1e-5)
    assert len(compute_nodes(model)) == 1


def test_products_of_two_activations_and_calibrated_inputs():
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["codes"]),
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
        helper.make_node("DynamicQuantizeLinear", ["t"], ["t_codes", "t_scale", "t_zero"]),
        helper.make_node("MatMulInteger", ["t_codes", "codes", "t_zero", "x_zero"], ["sums"]),
        CAST,
        node("Mul", ["t_scale", "x_scale"], "scales"),
        node("Mul", ["wide", "scales"], "y"),
    ]
    model = model_of(nodes, {"x_scale": np.float32(0.02), "x_zero": np.uint8(128)}, "y")
    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    (found,) = trace(model, x)
    assert found.kind == "matmul" and found.weight is None and sizes(model).weights == 0
    assert np.abs(found.inputs - x.T).max() < 0.03 and np.abs(found.second - x).max() < 0.03
    assert has_ranges_at_run_time(model) and with_real_products(with_real_products(model)).graph.node


def test_an_integer_convolution_is_one():
    rng = np.random.default_rng(2)
    codes, scale = weights(2, (6, 4, 3)), rng.uniform(0.01, 0.1, (1, 6, 1)).astype(np.float32)
    codes[0] = 0
    nodes = [
        ROUND,
        helper.make_node("ConvInteger", ["codes", "conv.weight", "x_zero"], ["sums"], pads=[1, 1], strides=[2]),
        CAST,
        *ENDINGS["product of scales"],
    ]
    model = model_of(nodes, {"conv.weight": codes, "w_scale": scale}, "y", ("n", 4, 8))
    x = rng.normal(size=(3, 4, 8)).astype(np.float32)
    (found,) = trace(model, x)
    assert (found.name, found.kind, found.stride) == ("conv", "conv", (1, 2))
    assert np.allclose(found.weight[:, :, 0], codes * scale.reshape(6, 1, 1)) and found.macs_effective == 60 * 4
    real = run_unoptimised(with_real_products(model), ["y"], {"x": x})[0]
    assert np.allclose(real, run_unoptimised(model, ["y"], {"x": x})[0], atol=1e-3)


def test_a_model_of_floats_is_left_as_it_is(tiny):
    assert with_real_products(tiny) is tiny and not has_ranges_at_run_time(tiny)


def test_what_no_runtime_could_compute_is_refused():
    model = model_of(
        [ROUND, layer(), CAST, *ENDINGS["swapped"]], {"fc.weight": weights(0, (3, 6)), "w_scale": np.float32(1)}, "y"
    )
    with pytest.raises(GraphError, match="could not run"):
        trace(model, np.ones((2, 4), np.float32))
