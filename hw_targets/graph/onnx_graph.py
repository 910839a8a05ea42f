"""Which nodes of an ONNX graph multiply, and by which weights.

A weight may reach its layer straight from an initialiser or through a chain that depends on no
input: a transposition, an int8 tensor and its scale (`DequantizeLinear`), a codebook and its codes
(`Gather`, Han et al. 2016, "Deep Compression", arXiv 1510.00149, section 3). Whatever the chain,
the weight is what the runtime computes from it, so such chains are run, not interpreted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx

from hw_targets.graph import recurrent, transposed
from hw_targets.graph.constants import Graph
from hw_targets.graph.integers import with_real_products
from hw_targets.graph.running import GraphError, run_unoptimised
from hw_targets.graph.stacked import Einsum, of_stack, stack_inputs

__all__ = ["ComputeNode", "Graph", "GraphError", "Kind", "Weight", "compute_nodes", "run_unoptimised"]

Kind = Literal["conv", "conv_transpose", "linear", "lstm", "gru", "rnn", "matmul"]

MULTIPLYING = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "LSTM", "GRU", "RNN")
NOT_UNDERSTOOD = frozenset({"Attention", "ConvInteger", "DeformConv", "MatMulInteger", "QLinearConv", "QLinearMatMul"})
# Operators that hand each stored number on as one weight, so that the weight is as wide as it.
HANDING_ON = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
# `fc.weight`, or what a parametrisation of it keeps: `fc.parametrizations.weight.0.codes`; what torch.nn.utils
# keeps in its place: `fc.weight_orig`, `fc.weight_v`; and `attention.in_proj_weight`.
LAYER_OF_WEIGHT = r"(.+?)(?:\.weight(?:_orig|_mask|_[gv])?|\.parametrizations\.weight\..+|_weight)"


@dataclass(frozen=True)
class Weight:
    """A layer's weight in its canonical layout, in which every simulator reads it.

    Attributes:
        values: float32. Linear `[out, in]`, or `[groups·out, in]` where it is a stack of matrices;
            conv and conv_transpose `[c_o, c_i / groups, k_h, k_w]`, where k_h = 1 in one dimension;
            lstm, gru and rnn `[directions·gates·hidden, in + hidden]`, W and R side by side with the
            gates in ONNX's order (i, o, f, c of an LSTM, z, r, h of a GRU), the second direction
            below the first.
        codebook: the distinct values the weight was gathered from, or None.
        scale: float32 of the `DequantizeLinear` the weight came through, or None.
        stored_dtype: ONNX data type of what is stored for each weight: codes, integers or floats;
            float where the weight is computed in another way (a product with a mask).
        roots: names of the stored tensors that the chain starts from.
        tensors: names of the constant tensors that the node reads as its weight.
    """

    values: np.ndarray
    codebook: np.ndarray | None
    scale: np.ndarray | None
    stored_dtype: int
    roots: tuple[str, ...]
    tensors: tuple[str, ...]


@dataclass(frozen=True)
class ComputeNode:
    """A node that multiplies.

    Attributes:
        inputs: names of the activations that it reads: one, or two for a `matmul` without weights.
        weight_on_left: the weight is the first factor, so that the columns of the activations
            are the samples.
        groups: parts of the weight, below one another, that different activations meet.
        rank: dimensions of the weight as the node reads it; its output has as many at least.
        arrange: brings the activation into the layout of `LayerTrace.inputs`, where the weight is no
            plain matrix (see `hw_targets.graph.stacked`); else None.
    """

    name: str
    kind: Kind
    node: onnx.NodeProto
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...]
    weight: Weight | None
    weight_on_left: bool = False
    groups: int = 1
    rank: int = 2
    arrange: Callable[[np.ndarray], np.ndarray] | None = None


def compute_nodes(model: onnx.ModelProto, graph: Graph | None = None) -> list[ComputeNode]:
    """All nodes that multiply activations, by weights or by one another, in the graph's order.

    Nodes on which no output depends are left out. Products of integers are those of the reals that
    they stand for (`with_real_products`); a `graph` that is given has them so already.

    A layer is named after its weight's stored tensor, without `.weight` and what may follow it
    (`layer1.0.conv1`), and otherwise after its node.

    Args:
        graph: of `model`, where it is at hand.

    Raises:
        GraphError: a node multiplies in a way that is not understood; counting nothing for it
            would be wrong.
    """
    graph = graph or Graph(with_real_products(model))
    found = []
    names: dict[str, int] = {}
    for node in graph.live:
        if node.op_type in NOT_UNDERSTOOD:
            raise GraphError(f"Node {node.name!r}: operator {node.op_type} cannot be traced. Known: {MULTIPLYING}.")
        alone = node.op_type == "Einsum" and len(node.input) == 1  # moves and sums
        if node.op_type not in MULTIPLYING or alone or graph.constant.issuperset(node.output):
            continue
        compute = _compute_node(graph, node)
        names[compute.name] = names.get(compute.name, 0) + 1
        if names[compute.name] > 1:  # the same weight is used again
            compute = ComputeNode(**{**vars(compute), "name": f"{compute.name}#{names[compute.name]}"})
        found.append(compute)
    return found


def _compute_node(graph: Graph, node: onnx.NodeProto) -> ComputeNode:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type in recurrent.KINDS:
        return _recurrent(graph, node, attributes)
    constant = [name in graph.constant for name in node.input[:2]]
    if node.op_type in ("Conv", "ConvTranspose"):
        if not constant[1]:
            raise GraphError(_of_input(graph, node, node.input[1]))
        values = _as_2d_convolution(graph.evaluate([node.input[1]])[node.input[1]], node)
        kind: Kind = "conv"
        if node.op_type == "ConvTranspose":
            kind, values = "conv_transpose", transposed.as_convolution(values, attributes.get("group", 1))
        weight = _weight(graph, [node.input[1]], values)
        groups = attributes.get("group", 1)
        return ComputeNode(_name(node, weight), kind, node, attributes, (node.input[0],), weight, groups=groups)
    if node.op_type == "Einsum":
        return _einsum(graph, node, attributes)
    if not any(constant):
        return ComputeNode(_name(node, None), "matmul", node, attributes, tuple(node.input[:2]), None)
    left = constant[0]
    name = node.input[0 if left else 1]
    values = graph.evaluate([name])[name]
    if values.ndim != 2:
        return _stack(graph, node, values, left)
    flipped = bool(attributes.get("transA" if left else "transB", 0))
    factor = float(attributes.get("alpha", 1.0)) if node.op_type == "Gemm" else 1.0
    values = values if flipped != left else values.T
    weight = _weight(graph, [name], values, factor)
    return ComputeNode(_name(node, weight), "linear", node, attributes, (node.input[1 if left else 0],), weight, left)


def _stack(graph: Graph, node: onnx.NodeProto, values: np.ndarray, left: bool) -> ComputeNode:
    """A MatMul with a vector or a stack of matrices; one matrix with further dimensions of length 1 is plain."""
    name, activation = (node.input[0], node.input[1]) if left else (node.input[1], node.input[0])
    matrix, groups = of_stack(values, left)
    weight = _weight(graph, [name], matrix)
    stack = values.shape[:-2]

    def arrange(x: np.ndarray) -> np.ndarray:
        return stack_inputs(x, stack, left)

    plain = values.ndim > 2 and groups == 1
    name, shown = _name(node, weight), None if plain else arrange
    return ComputeNode(name, "linear", node, {}, (activation,), weight, left, groups, values.ndim, shown)


def _einsum(graph: Graph, node: onnx.NodeProto, attributes: Mapping[str, Any]) -> ComputeNode:
    try:
        equation = Einsum.parse(attributes["equation"].decode())
        places = [place for place, name in enumerate(node.input) if name in graph.constant]
        if not places:
            return ComputeNode(_name(node, None), "matmul", node, attributes, tuple(node.input), None)
        place, name = places[0], node.input[places[0]]
        values = graph.evaluate([name])[name]
        matrix, groups = equation.weight(values, place)
    except ValueError as error:
        raise GraphError(f"Node {node.name!r}: {error}") from error
    weight = _weight(graph, [name], matrix)

    def arrange(x: np.ndarray) -> np.ndarray:
        return equation.inputs(x, values.shape, place)

    activation = node.input[1 - place]
    return ComputeNode(
        _name(node, weight), "linear", node, attributes, (activation,), weight, groups=groups, arrange=arrange
    )


def _recurrent(graph: Graph, node: onnx.NodeProto, attributes: Mapping[str, Any]) -> ComputeNode:
    if reason := recurrent.why_not(attributes):
        raise GraphError(f"{node.op_type} {node.name!r}: {reason}.")
    for name in node.input[1:3]:
        if name not in graph.constant:
            raise GraphError(_of_input(graph, node, name))
    parts = graph.evaluate(node.input[1:3])
    values = recurrent.as_matrix(parts[node.input[1]], parts[node.input[2]])
    weight = _weight(graph, list(node.input[1:3]), values)
    kind, directions = recurrent.KINDS[node.op_type], parts[node.input[1]].shape[0]
    return ComputeNode(_name(node, weight), kind, node, attributes, (node.input[0],), weight, groups=directions)


def _weight(graph: Graph, names: list[str], values: np.ndarray, factor: float = 1.0) -> Weight:
    """Describe what leads to `names`; only a chain to a single tensor has a codebook or a scale."""
    codebook = scale = None
    stored = names[0]
    while len(names) == 1 and stored not in graph.stored:
        maker = graph.producer[stored]
        if maker.op_type == "Gather" and len(graph.evaluate([maker.input[0]])[maker.input[0]].shape) == 1:
            table = graph.evaluate([maker.input[0]])[maker.input[0]].astype(np.float32)
            codebook = np.unique(values) if scale is not None else table
            stored = maker.input[1]
        elif maker.op_type == "DequantizeLinear":
            scale = graph.evaluate([maker.input[1]])[maker.input[1]].astype(np.float32) * np.float32(factor)
            stored = maker.input[0]
        elif maker.op_type in HANDING_ON:
            stored = maker.input[0]
        else:
            break
    if codebook is not None:
        codebook = codebook.astype(np.float32) * np.float32(factor)
    roots = [each for name in names for each in graph.roots(name)]
    stored_dtype = graph.stored[stored].data_type if stored in graph.stored else onnx.TensorProto.FLOAT
    canonical = _as_float32(values, factor, roots)
    return Weight(canonical, codebook, scale, stored_dtype, tuple(dict.fromkeys(roots)), tuple(names))


def _as_float32(values: np.ndarray, factor: float, roots: list[str]) -> np.ndarray:
    """`values · factor`; a number that float32 holds as zero or infinite would be lost to every count."""
    with np.errstate(over="ignore"):
        canonical = np.ascontiguousarray(values, np.float32)
        if factor != 1.0:
            canonical = canonical * np.float32(factor)
    wider = values.dtype.kind == "f" and values.dtype.itemsize > 4
    if wider or factor != 1.0:
        lost = np.count_nonzero(canonical) != np.count_nonzero(values) * (factor != 0)
        if lost or not np.isfinite(canonical).all():
            raise GraphError(f"The weight from {roots[0]!r} has values that float32 does not hold; scale them.")
    return canonical


def _name(node: onnx.NodeProto, weight: Weight | None) -> str:
    if weight is not None:
        for root in weight.roots:
            if found := recurrent.layer_of(root, node.op_type):
                return found
            if match := re.fullmatch(LAYER_OF_WEIGHT, root):
                return match[1]
    return node.name or node.output[0]


def _of_input(graph: Graph, node: onnx.NodeProto, name: str) -> str:
    """Why weights that depend on the input are refused; names the stored tensor that is mixed in last."""
    found = graph.nearest(name)
    mixed = f" and on the stored tensor {found!r}; multiply by the tensor itself" if found else ""
    return f"{node.op_type} {node.name!r}: its weights depend on the input{mixed}."


def _as_2d_convolution(values: np.ndarray, node: onnx.NodeProto) -> np.ndarray:
    if values.ndim == 3:
        return values[:, :, None, :]
    if values.ndim != 4:
        raise GraphError(
            f"Convolution {node.name!r} has weights {node.input[1]!r} {list(values.shape)}; 1-D and 2-D can be traced."
        )
    return values
