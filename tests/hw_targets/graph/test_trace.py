from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx.reference import ReferenceEvaluator

from hw_targets.graph.onnx_graph import GraphError
from hw_targets.graph.trace import trace

RNG = np.random.default_rng(1)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_resnet20_macs_by_hand(resnet20):
    _, model = resnet20
    layers = trace(model, np.zeros((1, 3, 32, 32), np.float32))
    first = 3 * 3 * 3 * 16 * 32 * 32  # c_i · k · k · c_o · h · w
    stage1 = 6 * (16 * 9 * 16 * 32 * 32)
    stage2 = 16 * 9 * 32 * 16 * 16 + 5 * (32 * 9 * 32 * 16 * 16)
    stage3 = 32 * 9 * 64 * 8 * 8 + 5 * (64 * 9 * 64 * 8 * 8)
    assert [layer.name for layer in layers[:2]] == ["conv1", "layer1.0.conv1"]
    assert sum(layer.macs_dense for layer in layers) == first + stage1 + stage2 + stage3 + 640 == 40_551_040


def test_resnet20_weights_and_activations_are_torchs(resnet20):
    network, model = resnet20
    x = torch.from_numpy(normal(2, 3, 32, 32))
    seen = {}
    modules = {name: m for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)}
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: seen.update({name: args[0].numpy()}))
        for name, module in modules.items()
    ]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    layers = {layer.name: layer for layer in trace(model, x.numpy())}
    assert set(layers) == set(modules)
    for name, module in modules.items():
        np.testing.assert_array_equal(layers[name].weight, module.weight.detach().numpy())
        np.testing.assert_allclose(layers[name].inputs, seen[name], rtol=1e-3, atol=1e-4)
        if isinstance(module, torch.nn.Conv2d):
            assert layers[name].stride == module.stride
            assert layers[name].padding == (*module.padding, *module.padding)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("other_transposed", [False, True])
def test_gemm_every_way(build, left, transposed, other_transposed):
    weight, x = normal(5, 4), normal(4, 4)  # a square x, so that both its ways fit
    stored = weight if transposed != left else weight.T  # weight is [out, in] = [5, 4]
    names = ["w", "x"] if left else ["x", "w"]
    flags = (
        {"transA": transposed, "transB": other_transposed}
        if left
        else {"transA": other_transposed, "transB": transposed}
    )
    node = helper.make_node("Gemm", names, ["y"], alpha=0.5, **{k: int(v) for k, v in flags.items()})
    model = build([node], {"w": stored}, "y", (4, 4))
    (layer,) = trace(model, x)
    result = ReferenceEvaluator(model).run(None, {"x": x})[0]
    product = layer.inputs @ layer.weight.T
    np.testing.assert_allclose(product.T if left else product, result, rtol=1e-5)
    np.testing.assert_allclose(layer.weight, weight * 0.5)
    assert layer.macs_dense == 5 * 4


def test_matmul_of_sequences_and_of_activations(build):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Transpose", ["h"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["h", "t"], ["y"]),
    ]
    linear, product = trace(build(nodes, {"w": normal(4, 6)}, "y", ("n", 3, 4)), normal(2, 3, 4))
    assert (linear.kind, linear.weight.shape, linear.macs_dense) == ("linear", (6, 4), 3 * 4 * 6)
    assert (product.kind, product.weight, product.macs_dense) == ("matmul", None, 3 * 6 * 3)
    assert product.macs_nonzero == product.macs_effective == 54


def test_codebook_is_resolved_and_kept(build):
    codebook = np.array([0, -1.5, 0.25, 2], np.float32)
    codes = RNG.integers(0, 4, (4, 3)).astype(np.uint8)
    nodes = [
        helper.make_node("Cast", ["codes"], ["wide"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["codebook", "wide"], ["w"]),
        helper.make_node("Identity", ["w"], ["same"]),
        helper.make_node("MatMul", ["x", "same"], ["y"]),
    ]
    (layer,) = trace(build(nodes, {"codes": codes, "codebook": codebook}, "y"), normal(2, 4))
    np.testing.assert_array_equal(layer.weight, codebook[codes].T)
    np.testing.assert_array_equal(layer.codebook, codebook)
    assert layer.weight_bits == 8
    assert layer.macs_effective == np.count_nonzero(codes)


def test_dequantised_weight_per_channel(build):
    integers = RNG.integers(-128, 128, (3, 4)).astype(np.int8)
    scale = np.array([0.5, 1, 2], np.float32)
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0),
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    model = build(nodes, {"q": integers, "s": scale, "z": np.zeros(3, np.int8)}, "y")
    (layer,) = trace(model, normal(2, 4))
    np.testing.assert_array_equal(layer.weight, integers * scale[:, None])
    np.testing.assert_array_equal(layer.scale, scale)
    assert layer.weight_bits == 8


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    groups=st.sampled_from([1, 2]),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 1)),
    seed=st.integers(0, 100),
)
def test_macs_nonzero_of_a_convolution_is_counted_by_a_convolution(build, groups, stride, dilation, padding, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 4, 7, 6)).astype(np.float32) * (rng.random((2, 4, 7, 6)) < 0.5)
    w = rng.normal(size=(6, 4 // groups, 3, 2)).astype(np.float32) * (rng.random((6, 4 // groups, 3, 2)) < 0.5)
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], group=groups, strides=stride, dilations=dilation, pads=(*padding, *padding)
    )
    (layer,) = trace(build([node], {"w": w}, "y", ("n", 4, 7, 6)), x)
    ones = [torch.from_numpy((each != 0).astype(np.float32)) for each in (x, w)]
    counted = F.conv2d(*ones, stride=stride, padding=padding, dilation=dilation, groups=groups)
    assert layer.macs_nonzero == counted.sum().item() / 2
    assert layer.macs_dense == w.size * counted[0, 0].numel()


def test_one_dimensional_convolution_with_same_padding(build):
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2])
    (layer,) = trace(build([node], {"w": normal(5, 2, 4)}, "y", ("n", 2, 9)), normal(3, 2, 9))
    assert layer.weight.shape == (5, 2, 1, 4)
    assert layer.inputs.shape == (3, 2, 1, 9)
    assert (layer.stride, layer.padding) == ((1, 2), (0, 1, 0, 2))
    assert layer.macs_dense == 5 * 2 * 4 * 5


def test_lstm_meets_its_own_state(build):
    lstm = torch.nn.LSTM(4, 3)
    order = [0, 3, 1, 2]  # torch has i, f, g, o; ONNX has i, o, f, c

    def gates(t):
        return t.detach().numpy().reshape(4, 3, -1)[order].reshape(1, 12, -1)

    w, r = gates(lstm.weight_ih_l0), gates(lstm.weight_hh_l0)
    bias = np.concatenate([gates(lstm.bias_ih_l0)[..., 0], gates(lstm.bias_hh_l0)[..., 0]], axis=1)
    node = helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=3)
    x = normal(5, 2, 4)
    (layer,) = trace(build([node], {"w": w, "r": r, "b": bias}, "y", (5, "n", 4)), x)
    states = lstm(torch.from_numpy(x))[0].detach().numpy()
    assert layer.weight.shape == (12, 7)
    np.testing.assert_allclose(layer.inputs[1:, :, 4:], states[:-1], rtol=1e-5, atol=1e-6)
    assert not layer.inputs[0, :, 4:].any()


def test_shared_weights_get_names_of_their_own(build):
    nodes = [
        helper.make_node("MatMul", ["x", "a.weight"], ["h"]),
        helper.make_node("MatMul", ["h", "a.weight"], ["y"]),
    ]
    assert [t.name for t in trace(build(nodes, {"a.weight": normal(4, 4)}, "y"), normal(1, 4))] == ["a", "a#2"]


@pytest.mark.parametrize("equation", ["ni,io,n->no", "nn,io->io"])
def test_an_equation_of_another_form_is_refused(build, equation):
    names = ["x", "w", "x"][: equation.count(",") + 1]
    einsum = helper.make_node("Einsum", names, ["y"], equation=equation, name="mix")
    with pytest.raises(GraphError, match="'mix': Einsum"):
        trace(build([einsum], {"w": normal(4, 4)}, "y"), normal(1, 4))


def test_what_is_not_understood_is_refused(build):
    attention = helper.make_node("Attention", ["x", "x", "x"], ["y"], name="attend")
    with pytest.raises(GraphError, match="'attend': operator Attention"):
        trace(build([attention], {}, "y"), normal(1, 4))
    with pytest.raises(GraphError, match="ONNX Runtime could not run"):
        trace(build([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": normal(5, 4)}, "y"), normal(1, 4))


@pytest.mark.parametrize(
    ("equation", "shape", "weight", "macs"),
    [
        ("bsi,io->bos", (2, 5, 4), (4, 3), 5 * 4 * 3),
        ("io,bsi->bso", (2, 5, 4), (4, 3), 5 * 4 * 3),
        ("bsi,ihd->bhsd", (2, 5, 4), (4, 2, 3), 5 * 4 * 6),
        ("bsi,sio->bso", (2, 5, 4), (5, 4, 3), 5 * 4 * 3),
        ("bshd,hde->bshe", (2, 5, 3, 4), (3, 4, 2), 5 * 3 * 4 * 2),
        ("...i,oi->...o", (2, 5, 4), (3, 4), 5 * 4 * 3),
        ("bsi,i->bsi", (2, 5, 4), (4,), 5 * 4),
        ("bsi,i", (2, 5, 4), (4,), 5 * 4),
    ],
)
def test_an_einsum_is_a_linear_layer_in_groups(build, equation, shape, weight, macs):
    stored, x = normal(*weight), normal(*shape)
    names = ["w", "x"] if equation.startswith("io,") else ["x", "w"]
    model = build([helper.make_node("Einsum", names, ["y"], equation=equation)], {"w": stored}, "y", shape)
    (layer,) = trace(model, x)
    assert (layer.kind, layer.weight.size, layer.macs_dense) == ("linear", stored.size, macs)
    inputs = layer.inputs.reshape(layer.groups, -1, layer.inputs.shape[-1])
    products = inputs @ layer.weight.reshape(layer.groups, -1, layer.inputs.shape[-1]).swapaxes(1, 2)
    (result,) = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_allclose(np.sort(products, None), np.sort(result, None), rtol=1e-4, atol=1e-5)
    sparse = np.where(x > 0, x, 0)
    assert trace(model, sparse)[0].macs_nonzero == pytest.approx(macs * np.mean(x > 0), rel=0.5)


def test_a_stack_of_matrices_and_a_vector(build):
    nodes = [
        helper.make_node("MatMul", ["x", "stack"], ["h"]),
        helper.make_node("MatMul", ["left", "h"], ["l"]),
        helper.make_node("MatMul", ["l", "vector"], ["y"]),
    ]
    tensors = {"stack": normal(3, 4, 6), "left": normal(3, 2, 5), "vector": normal(6)}
    layers = trace(build(nodes, tensors, "y", ("n", 3, 5, 4)), normal(2, 3, 5, 4))
    assert [(layer.weight.shape, layer.groups) for layer in layers] == [((18, 4), 3), ((6, 5), 3), ((1, 6), 1)]
    assert [layer.macs_dense for layer in layers] == [3 * 5 * 4 * 6, 3 * 2 * 5 * 6, 3 * 2 * 6]
    for layer, stored in zip(layers, tensors.values(), strict=True):
        assert layer.macs_nonzero == layer.macs_dense and np.count_nonzero(layer.weight) == stored.size


def test_a_product_of_activations_by_an_equation(build):
    node = helper.make_node("Einsum", ["x", "t"], ["y"], equation="bqd,bdk->bqk")
    turn = helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1])
    x = normal(2, 3, 4)
    (layer,) = trace(build([turn, node], {}, "y", ("n", 3, 4)), x)
    assert (layer.kind, layer.macs_dense, layer.macs_nonzero) == ("matmul", 3 * 4 * 3, 36)
    np.testing.assert_array_equal(layer.second, x.swapaxes(1, 2))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_layers_meet_their_states(build, operator, gates, direction):
    both = 2 if direction == "bidirectional" else 1
    tensors = {
        "r.weight_ih_l1": normal(both, gates * 3, 4),
        "r.weight_hh_l1": normal(both, gates * 3, 3),
        "start": normal(both, 2, 3),
    }
    names = ["x", "r.weight_ih_l1", "r.weight_hh_l1", "", "", "start"]
    node = helper.make_node(
        operator, names, ["", "last"], hidden_size=3, direction=direction
    )  # its states are not read
    model = build([node], tensors, "last", (5, 2, 4))
    x = normal(5, 2, 4)
    (layer,) = trace(model, x)
    assert (layer.name, layer.kind, layer.groups) == ("r.l1", operator.lower(), both)
    assert layer.weight.shape == (both * gates * 3, 4 + 3)
    node.output[0] = "all"
    states = ReferenceEvaluator(build([node], tensors, "all", (5, 2, 4))).run(None, {"x": x})[0]
    inputs = layer.inputs.reshape(both, 5, 2, 7)
    for number in range(both):
        backwards = direction == "reverse" or number == 1
        order = slice(None, None, -1) if backwards else slice(None)
        before = np.concatenate([tensors["start"][number][None], states[order][:-1, number]])
        np.testing.assert_allclose(inputs[number][order], np.concatenate([x[order], before], 2), rtol=1e-3, atol=1e-4)
    assert layer.macs_dense == layer.weight.size * 5 * 2 // 5  # the first dimension is taken for the samples


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions(groups):
    import torch

    from harness.entries.export import export_onnx

    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = torch.nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=groups, bias=False).eval()
    x = normal(2, 4, 5, 5)
    x[:, 1] = 0
    (found,) = trace(export_onnx(layer, torch.from_numpy(x)), x)
    assert (found.kind, found.groups, found.weight.shape) == ("conv_transpose", groups, (6, 4 // groups, 3, 3))
    as_dense = layer.weight.detach().numpy().reshape(groups, 4 // groups, 6 // groups, 3, 3).swapaxes(1, 2)
    np.testing.assert_array_equal(found.weight, as_dense.reshape(6, 4 // groups, 3, 3))
    assert found.macs_dense == layer.weight.numel() * 25
    assert found.macs_nonzero == layer.weight.numel() * 25 * 3 // 4  # a channel in four is silent
