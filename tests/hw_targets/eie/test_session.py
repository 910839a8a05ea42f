"""Networks on EIE's numbers: against ONNX Runtime on the same weights, and to the bit on small ones."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from integer_rounding import nearest
from onnx import helper, numpy_helper
from onnx_reference import reference
from torch import nn

from harness.entries.export import export_onnx
from hw_targets.eie import EieConfig
from hw_targets.eie.lowering import as_matrix, products
from hw_targets.eie.network import simulate_network
from hw_targets.eie.session import EieSession
from hw_targets.graph.onnx_graph import GraphError
from hw_targets.graph.trace import trace


class Convolutions(nn.Module):
    """Strides, groups, dilation, a residual sum and batch norm, which stay on the host."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1, bias=True)
        self.norm = nn.BatchNorm2d(8)
        self.b = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.c = nn.Conv2d(8, 12, (3, 2), stride=(2, 1), dilation=(1, 2), groups=2, bias=False)
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.a(x)).relu()
        x = (x + self.b(x)).relu()
        return self.head(self.c(x).relu().mean((2, 3)))


class Attention(nn.Module):
    """One head: the product of two activations is the host's."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(6, 6, bias=False) for _ in range(3))
        self.head = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = (self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1)
        return self.head((weights @ self.v(x)).mean(1))


def sixteen_values(model: nn.Module) -> nn.Module:
    """`model` with the weights of each layer drawn from seven values, many of them zero."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            values = torch.tensor([-3.0, -2, -1, 0, 0, 0, 1, 2, 3]) * parameter.abs().max() / 3
            parameter.data = values[torch.randint(9, parameter.shape)]
    return model.eval()


def both(model: nn.Module, shape: tuple[int, ...]) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    """The model as ONNX, inputs, and what ONNX Runtime makes of them."""
    exported = export_onnx(sixteen_values(model), torch.zeros(2, *shape))
    inputs = np.random.default_rng(0).normal(size=(9, *shape)).astype(np.float32)
    return exported, inputs, reference(exported, inputs)


@pytest.mark.parametrize(("model", "shape"), [(Convolutions, (3, 9, 8)), (Attention, (4, 6))])
def test_shared_weights_give_what_the_runtime_gives_up_to_16_bits(model, shape):
    exported, inputs, expected = both(model(), shape)
    session = EieSession(exported, inputs)
    assert all(layer.coded.kept for layer in session.layers.values())
    assert np.abs(session.run(inputs) - expected).max() < 2e-3 * np.abs(expected).max()
    np.testing.assert_array_equal(session.run(inputs)[3:5], session.run(inputs[3:5]))


def test_a_networks_codes_are_those_of_integers_layer_after_layer(tiny):
    """Two linear layers and a ReLU, in Python's integers."""
    samples = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    session = EieSession(tiny, samples)
    first, second = session.layers.values()
    values = samples.astype(np.float64)
    for layer in (first, second):
        fraction = layer.coded.format.fraction + layer.formats.input.fraction
        bias = np.zeros(len(layer.coded.codes)) if layer.bias is None else layer.bias
        codes = layer.formats.input.encode(values).astype(object)
        sums = codes @ layer.coded.table[layer.coded.codes].astype(object).T
        sums = sums + np.rint(bias * 2.0**fraction).astype(np.int64).astype(object)
        shift = fraction - layer.formats.output.fraction
        written = [[nearest(int(each), shift) for each in row] for row in sums]
        values = np.array(written) * 2.0**-layer.formats.output.fraction
        values = np.maximum(values, 0) if layer is first else values
    np.testing.assert_array_equal(session.run(samples), values.astype(np.float32))


def test_every_product_is_timed(build):
    """The columns that lowering finds are those of the unfolded input, whatever the geometry."""
    exported, inputs, _ = both(Convolutions(), (3, 9, 8))
    session = EieSession(exported, inputs)
    seen: dict[str, np.ndarray] = {}
    session.run(inputs, watch=lambda name, codes: seen.setdefault(name, codes))
    for layer in trace(exported, inputs[:1]):
        if layer.kind != "conv":
            continue
        of_sample = products(layer, seen[layer.name], 2)
        codes = torch.from_numpy(seen[layer.name][2:3])
        top, left, bottom, right = layer.padding
        padded = nn.functional.pad(codes, (left, right, top, bottom))
        windows = nn.functional.unfold(padded, layer.weight.shape[2:], dilation=layer.dilation, stride=layer.stride)[
            0
        ].T.numpy()
        matrix = as_matrix(session.layers[layer.name].coded.codes, layer.groups)
        assert matrix.shape == (layer.weight.shape[0], windows.shape[1])
        for window, begin, end in zip(windows, of_sample.first, of_sample.first[1:], strict=False):
            np.testing.assert_array_equal(of_sample.active[begin:end], np.flatnonzero(window))
        table = session.layers[layer.name].coded.table.astype(np.float64)
        direct = nn.functional.conv2d(
            padded,
            torch.from_numpy(session.layers[layer.name].coded.integers()),
            stride=layer.stride,
            dilation=layer.dilation,
            groups=layer.groups,
        )[0].flatten(1)
        np.testing.assert_array_equal(table[matrix] @ windows.T, direct.numpy())


def test_attention_is_left_to_the_host_and_said_so():
    exported, inputs, _ = both(Attention(), (4, 6))
    found = simulate_network(exported, EieSession(exported, inputs), inputs[:3])
    on_chip, by_host = 3 * 4 * 36 + 12, 2 * 4 * 4 * 6
    assert found.macs_share == pytest.approx(on_chip / (on_chip + by_host))
    assert len(found.layers) == 4 and found.cycles.shape == (3,)
    assert len(found.layers[0].activity.cycles) == 3


def lstm_model(build) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    tensors = {
        "W": rng.choice([-0.5, 0.0, 0.25, 0.5], size=(1, 20, 4)).astype(np.float32),
        "R": rng.choice([-0.25, 0.0, 0.25], size=(1, 20, 5)).astype(np.float32),
        "B": rng.normal(size=(1, 40)).astype(np.float32),
        "axes": np.array([1], np.int64),
        "head.weight": np.ones((2, 5), np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["steps"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["steps", "W", "R", "B"], ["Y", "last"], hidden_size=5),
        helper.make_node("Squeeze", ["last", "first_axis"], ["state"]),
        helper.make_node("Gemm", ["state", "head.weight"], ["y"], transB=1),
    ]
    tensors["first_axis"] = np.array([0], np.int64)
    del tensors["axes"]
    return build(nodes, tensors, "y", input_shape=("n", 7, 4))


def test_an_lstms_first_state_may_come_from_the_size_of_the_batch(build):
    model = lstm_model(build)
    stored = {"h": np.full((1, 1, 5), 0.5, np.float32), "1": np.array([1], np.int64), "5": np.array([5], np.int64)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in stored.items())
    model.graph.node.insert(0, helper.make_node("Shape", ["x"], ["n"], start=0, end=1))
    model.graph.node.insert(1, helper.make_node("Concat", ["1", "n", "5"], ["shape"], axis=0))
    model.graph.node.insert(2, helper.make_node("Expand", ["h", "shape"], ["first"]))
    lstm = next(node for node in model.graph.node if node.op_type == "LSTM")
    lstm.input.extend(["", "first"])
    inputs = np.random.default_rng(2).normal(size=(6, 7, 4)).astype(np.float32)
    assert np.abs(EieSession(model, inputs).run(inputs) - reference(model, inputs)).max() < 2e-3


def test_activations_that_do_not_fit_go_through_dram():
    exported, inputs, _ = both(Convolutions(), (3, 9, 8))
    roomy, small = (
        simulate_network(exported, EieSession(exported, inputs, config), inputs[:1])
        for config in (EieConfig(), EieConfig(activation_sram_bytes=16))
    )
    first = small.layers[0]
    assert [layer.dram_bits for layer in roomy.layers] == [0] * 4
    assert first.dram_bits == 16 * (3 * 9 * 8 + 8 * 9 * 8) > 16 * 8 * 64
    waiting = sum(layer.dram_bits for layer in small.layers) / 8 / EieConfig().dram_bytes_per_cycle
    assert small.cycles[0] == roomy.cycles[0] + waiting


def test_lstm_gates_are_one_matrix(build):
    model = lstm_model(build)
    inputs = np.random.default_rng(2).normal(size=(6, 7, 4)).astype(np.float32)
    session = EieSession(model, inputs)
    expected = reference(model, inputs)
    assert np.abs(session.run(inputs) - expected).max() < 2e-3
    found = simulate_network(model, session, inputs[:2])
    gates = found.layers[0]
    assert gates.layout.rows == 20 and gates.layout.columns == 9
    # The first step's state is zero, so that only the input is broadcast; later all nine numbers are.
    assert gates.activity.broadcasts.tolist() == [4 + 6 * 9] * 2


def test_what_eie_cannot_run_is_refused(build, tiny):
    model = lstm_model(build)
    model.graph.node[1].attribute.append(helper.make_attribute("activations", ["Relu", "Tanh", "Tanh"]))
    with pytest.raises(GraphError, match="other activations do not run on EIE"):
        EieSession(model, np.zeros((1, 7, 4), np.float32))
    with pytest.raises(ValueError, match="at least one sample"):
        EieSession(tiny, np.zeros((0, 4), np.float32))
    with pytest.raises(ValueError, match=r"Layer a has \d+ non-zero values"):
        EieSession(tiny, np.ones((1, 4), np.float32), EieConfig(sharing="keep"))
    small = EieConfig(overflow="refuse", weight_sram_bytes=1, pe_count=1)
    with pytest.raises(ValueError, match=r"^a puts 16 entries on its fullest element"):
        EieSession(tiny, np.ones((1, 4), np.float32), small)
    with pytest.raises(GraphError, match="Layer a: its activations have NaN"):
        EieSession(tiny, np.full((1, 4), np.nan, np.float32))
    relu = build([helper.make_node("Relu", ["x"], ["y"])], {}, "y")
    with pytest.raises(ValueError, match="nothing for EIE to do"):
        simulate_network(relu, EieSession(relu, np.ones((1, 4), np.float32)), np.ones((1, 4), np.float32))
