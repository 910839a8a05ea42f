"""Which stored tensors reach a product of two activations without passing a layer.

In attention both factors are activations, and biases and scales travel in them. A whole matrix that
travels so (`W + 0·x`) is a layer's weight in disguise: the product multiplies by stored numbers.
What tells them apart is rank. A bias is the same for all rows, or all columns, of the factor's matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import onnx

from hw_targets.graph.constants import Graph
from hw_targets.graph.onnx_graph import ComputeNode
from hw_targets.graph.roles import LINEAR, is_index, is_layout
from hw_targets.graph.running import GraphError
from hw_targets.graph.shapes import run_on_zeros
from hw_targets.graph.stacked import Einsum

Load = Mapping[str, bool]  # constant tensor → it passed linear operators only
ADDING_A_BIAS = frozenset({"Conv", "ConvTranspose", "Gemm"})


def weights_in_products(graph: Graph, computes: Sequence[ComputeNode]) -> list[str]:
    """The constant tensors that products of activations multiply by, in the graph's order.

    Position terms that rotate or mask (they multiply an activation, or pass a softmax) belong here
    too: they are counted as kept, in the dense model alike.

    Raises:
        GraphError: a tensor reaches a product as it is, by shifts, scales and moves alone. Names it.
    """
    loads = _loads(graph, computes)
    factors = [
        (product, factor, {name: plain for name, plain in loads.get(factor, {}).items() if _size(graph, name) > 1})
        for product in computes
        if product.weight is None
        for factor in product.inputs
    ]
    factors = [each for each in factors if each[2]]
    thin = [
        each.node.output[0]
        for each in computes
        if each.weight is not None and each.arrange is None and each.node.input[1] in graph.constant
    ]
    values = _with_loads(graph, {factor: list(load) for _, factor, load in factors}, thin)
    found: dict[str, None] = {}
    for product, factor, load in factors:
        suspects = load if _rank(product, factor, values.get(factor)) > len(load) else {}
        for name, plain in load.items():
            vector = sum(length > 1 for length in _dims(graph, name)) <= 1
            rank = _rank_of(graph, product, factor, name) if name in suspects or not vector else 1
            if plain and rank > 1 and factor in values:
                raise GraphError(_refusal(graph, product, name))
            if rank > 1 or (rank == 0 and not vector):
                found[name] = None
    return list(found)


def _with_loads(graph: Graph, loads: Mapping[str, Sequence[str]], thin: Sequence[str]) -> dict[str, np.ndarray]:
    """What factors of products come to where all is zero but the tensors that they carry, drawn at random."""
    given = {name: _drawn(graph, name) for name in sorted({name for load in loads.values() for name in load})}
    if not loads:
        return {}
    return run_on_zeros(graph.model, graph.stored, list(loads), batch=1, small=1, given=given, thin=thin)


def _rank_of(graph: Graph, product: ComputeNode, factor: str, name: str) -> int:
    """The rank of what one tensor adds to a factor's matrix; 0 where that is nothing, or unknown."""
    drawn = _drawn(graph, name)
    runs = [
        run_on_zeros(graph.model, graph.stored, [factor], batch=1, small=1, given={name: value})
        for value in (drawn, np.zeros_like(drawn))
    ]
    return _rank(product, factor, runs[0][factor] - runs[1][factor]) if all(runs) else 0


def _rank(product: ComputeNode, factor: str, values: np.ndarray | None) -> int:
    """Of a factor's matrices, the greatest; 0 where there is none."""
    if values is not None and product.node.op_type == "Einsum":
        equation = Einsum.parse(product.attributes["equation"].decode())
        places = [place for place, name in enumerate(product.inputs) if name == factor]
        return max(_rank_of_matrices(equation.factor(values, place)) for place in places)
    return _rank_of_matrices(values)


def _rank_of_matrices(values: np.ndarray | None) -> int:
    if values is None or values.size == 0 or values.ndim < 2:
        return 0 if values is None or not np.any(values) else 1
    values = values.astype(np.float64)
    return int(np.linalg.matrix_rank(values).max()) if np.isfinite(values).all() else min(values.shape[-2:])


def _drawn(graph: Graph, name: str) -> np.ndarray:
    """Floats at random, so that no chance in the values hides a matrix; integers, which may be codes, as they are."""
    values = graph.evaluate([name])[name]
    if values.dtype.kind != "f":
        return values
    return np.random.default_rng(0).normal(size=values.shape).astype(values.dtype)


def _loads(graph: Graph, computes: Sequence[ComputeNode]) -> dict[str, Load]:
    """Activation → the constant tensors that it carries."""
    layers = {id(each.node): each for each in computes}
    loads: dict[str, Load] = {}
    for node in graph.live:
        outputs = [name for name in node.output if name]
        if graph.constant.issuperset(outputs):
            continue
        compute = layers.get(id(node))
        if compute is not None:
            slots: Sequence[int] = (2,) if node.op_type in ADDING_A_BIAS else ()
        else:
            slots = [i for i in range(len(node.input)) if not is_layout(node, i)]
        load = _load(graph, node, slots, loads)
        for name in outputs:
            loads[name] = load
    return loads


def _load(graph: Graph, node: onnx.NodeProto, slots: Sequence[int], loads: Mapping[str, Load]) -> Load:
    mixing = node.op_type in ("Div", "Mul") and graph.fixed.isdisjoint(node.input)
    load: dict[str, bool] = {}
    for slot in slots:
        name = node.input[slot] if slot < len(node.input) else ""
        if name in graph.constant:
            if not is_index(node, slot):
                load[name] = True
        else:
            for each, plain in loads.get(name, {}).items():
                load[each] = load.get(each, False) or (plain and not mixing and node.op_type in LINEAR)
    return load


def _dims(graph: Graph, name: str) -> tuple[int, ...]:
    stored = graph.stored.get(name)
    return tuple(stored.dims) if stored is not None else graph.evaluate([name])[name].shape


def _size(graph: Graph, name: str) -> int:
    return prod(_dims(graph, name))


def _refusal(graph: Graph, product: ComputeNode, name: str) -> str:
    return (
        f"Node {product.node.name or product.node.output[0]!r}: the stored tensor {graph.roots(name)[0]!r} is a "
        f"factor of this product, mixed with activations, so its weights cannot be counted. "
        f"Multiply by the tensor itself."
    )
