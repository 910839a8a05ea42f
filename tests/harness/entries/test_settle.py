"""An exported file leaves a runtime no constant to compute, and fuses as torch's own export does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from harness.entries.export import export_onnx
from harness.models import build_model
from harness.references.load import example_inputs
from harness.run.evaluate import OrtSession
from harness.tasks import load_task, task_names
from hw_targets.graph.onnx_graph import Graph, compute_nodes
from hw_targets.graph.weights import sizes
from pruning.quantise import share_weights, to_int8

# A graph as another's, with more layers: too large to build here. The other is tried.
LIKE_ANOTHER = {"imagenet_vgg16": "imagenet_alexnet", "bert_base": "minilm_l6"}
TASKS = {task.model: task for task in map(load_task, task_names())}
NETWORKS = pytest.mark.parametrize("network", sorted(TASKS.keys() - LIKE_ANOTHER.keys()))


def optimised(model: onnx.ModelProto, tmp_path) -> onnx.GraphProto:
    """The graph that ONNX Runtime runs, all its optimisations done."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimised.onnx"), 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(tmp_path / "optimised.onnx").graph


def computed_from_constants(model: onnx.ModelProto) -> list[str]:
    """Operators whose inputs are all constant."""
    graph = Graph(model)
    return [
        node.op_type
        for node in model.graph.node
        if node.op_type != "Constant" and graph.constant.issuperset(name for name in node.input if name)
    ]


def export(model: nn.Module, inputs: torch.Tensor) -> onnx.ModelProto:
    """Exported, and checked to compute what torch computes."""
    exported = export_onnx(model, inputs)
    with torch.no_grad():
        expected = model(inputs).numpy()
    error = np.abs(OrtSession(exported).run(inputs.numpy()) - expected).max()
    assert error <= 2e-6 * max(1.0, float(np.abs(expected).max()))
    return exported


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@NETWORKS
def test_a_tasks_network_holds_nothing_to_compute_and_fuses(network, tmp_path):
    model = build_model(network, seed=1).eval()
    exported = export(model, example_inputs(TASKS[network].input, 3))
    assert computed_from_constants(exported) == []
    kinds = [node.op_type for node in exported.graph.node]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert kinds.count("BatchNormalization") == len(norms)  # the file holds them; the runtime folds them
    left = {node.op_type for node in optimised(exported, tmp_path).node}
    assert not left & {"BatchNormalization", "CastLike", "ConstantOfShape", "Identity"}
    weights = [name for name, value in model.named_parameters() if value.ndim > 1 and "embeddings" not in name]
    assert sorted(layer.name for layer in sizes(exported).layers) == sorted(
        name.removesuffix(".weight") for name in weights
    )


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.norm(self.conv(x)).relu().mean((2, 3)))


@pytest.mark.parametrize("store", [share_weights, to_int8], ids=["codebook", "int8"])
def test_weights_in_few_bits_stay_so(store, tmp_path):
    bits = {"conv": 4, "linear": 3}
    exported = export(store(Small().eval(), bits), torch.randn(3, 3, 8, 8))
    assert set(computed_from_constants(exported)) <= {"Cast", "Gather", "Reshape", "DequantizeLinear"}
    assert [node.weight.stored_dtype for node in compute_nodes(exported)] == [
        onnx.TensorProto.UINT8 if store is share_weights else onnx.TensorProto.INT8
    ] * 2
    if store is share_weights:
        assert "BatchNormalization" not in {node.op_type for node in optimised(exported, tmp_path).node}


class Masked(nn.Module):
    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.register_buffer("mask", (torch.rand(shape) > 0.7).float())

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * self.mask


class TwoFactors(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Parameter(torch.randn(16, 2))
        self.wide = nn.Parameter(torch.randn(2, 12))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.narrow @ self.wide).T


class OwnIntegers(nn.Module):
    """A submission's own way to hold integers, in no operator's name."""

    def __init__(self) -> None:
        super().__init__()
        self.codes = nn.Buffer(torch.randint(-7, 8, (16, 12), dtype=torch.int8))
        self.scale = nn.Buffer(torch.rand(16, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.codes.float() * self.scale)


class Tied(nn.Module):
    """The table that gives the output gave the input: one tensor, two uses."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(40, 8)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.table(ids).mean(1) @ self.table.weight.T


class Packed(nn.Module):
    """Two layers in one parameter, of which each reads its part."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(10, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self.weight.split([4, 6])
        return torch.cat([x @ first.T, x @ second.T], 1)


def masked_layer() -> nn.Module:
    layer = nn.Linear(12, 16)
    parametrize.register_parametrization(layer, "weight", Masked(layer.weight.shape))
    return nn.Sequential(layer)


def torch_pruned() -> nn.Module:
    return nn.Sequential(prune.l1_unstructured(nn.Linear(12, 16), "weight", 0.5))


@pytest.mark.parametrize(
    ("build", "inputs", "left", "names", "stored"),
    [
        (torch_pruned, (3, 12), [], ["0.weight_orig"], 16 * 12),
        (masked_layer, (3, 12), [], ["0.parametrizations.weight.original"], 16 * 12),
        (Packed, (3, 6), [], ["weight", "weight#2"], 60),
        (TwoFactors, (3, 12), ["MatMul"], ["narrow", "wide"], 2 * 28),
    ],
)
def test_a_weight_is_computed_where_the_file_grows_no_larger(
    build: Callable[[], nn.Module], inputs: tuple[int, ...], left, names, stored
):
    exported = export(build().eval(), torch.randn(inputs))
    assert [kind for kind in computed_from_constants(exported) if kind != "Transpose"] == left
    matrices = [tensor for tensor in exported.graph.initializer if len(tensor.dims) > 1]
    assert sorted(tensor.name for tensor in matrices) == names
    assert sum(int(np.prod(tensor.dims)) for tensor in matrices) == stored


@pytest.mark.parametrize("build", [masked_layer, torch_pruned])
def test_a_layer_keeps_its_name_when_its_weight_is_computed(build):
    assert [layer.name for layer in sizes(export(build().eval(), torch.randn(3, 12))).layers] == ["0"]


def test_what_two_layers_share_is_stored_once():
    exported = export(Tied().eval(), torch.randint(0, 40, (3, 5)))
    assert computed_from_constants(exported) == ["Transpose"]
    assert [tensor.name for tensor in exported.graph.initializer if len(tensor.dims) > 1] == ["table.weight"]


def test_integers_are_not_widened_whoever_decodes_them():
    exported = export(OwnIntegers().eval(), torch.randn(3, 12))
    assert computed_from_constants(exported) == ["Cast", "Mul"]
    assert onnx.TensorProto.INT8 in {tensor.data_type for tensor in exported.graph.initializer}


class Sliced(nn.Module):
    def __init__(self, *slices: tuple[slice, ...], read_between: bool = False) -> None:
        super().__init__()
        self.slices, self.read_between = slices, read_between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pieces = [x]
        for each in self.slices:
            pieces.append(pieces[-1][each])
        return pieces[-1] + (pieces[1].mean() if self.read_between else 1)


EVERY, ODD, TAIL = slice(None), slice(1, None, 2), slice(-4, None)


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (Sliced((EVERY, EVERY, slice(None, None, 2), ODD)), 1),  # a shortcut of ResNet, written as in the paper
        (Sliced((EVERY, slice(1, 3), ODD, TAIL)), 1),
        (Sliced((..., ODD, EVERY), (..., slice(0, -1))), 1),
        (Sliced((..., ODD), (..., slice(1, None))), 2),  # of one axis: the second counts what the first left
        (Sliced((..., ODD, TAIL), (..., slice(1, None))), 2),
        (Sliced((..., ODD), (..., TAIL, EVERY), read_between=True), 2),
    ],
)
def test_slices_of_different_axes_are_one(model, count):
    exported = export(model.eval(), torch.randn(2, 4, 9, 10))
    assert [node.op_type for node in exported.graph.node].count("Slice") == count
