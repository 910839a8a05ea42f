"""Each weight once: which numbers of a layer no other layer multiplies by as well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hw_targets.graph.constants import Graph
from hw_targets.graph.movement import element_ids, sources
from hw_targets.graph.onnx_graph import ComputeNode, Weight


def distinct_weights(graph: Graph, computes: Sequence[ComputeNode]) -> list[tuple[ComputeNode, int, int]]:
    """The layers with weights of their own: `(layer, weights, non-zero weights)`.

    Layers that read the same numbers share them, be it whole tensors or pieces that overlap, and they
    count where most of them are not zero. A copy of a layer's weight is the same weight. A constant fill
    is no copy of another: any two are alike.
    """
    layers = [each for each in computes if each.weight is not None]
    place = {id(each): number for number, each in enumerate(layers)}
    layers.sort(key=_nonzero, reverse=True)  # a layer that scales its weight away does not speak for the others
    shared = _shared_sources(graph, layers)
    ids = _ids(graph, layers, shared)
    seen: set[str] = set()
    taken = np.zeros(1 + max((int(each.max(initial=-1)) for each in ids.values()), default=-1), bool)
    kept: list[Weight] = []
    found = []
    for layer in layers:
        weight = layer.weight
        assert weight is not None
        new = [name for name in weight.tensors if name not in seen]
        seen.update(new)
        if not new or any(_is_copy(weight, each) for each in kept):
            for name in new:
                if name in ids:
                    taken[ids[name]] = True
            continue
        kept.append(weight)
        if all(name in new and name not in ids for name in weight.tensors):
            found.append((layer, weight.values.size, int(np.count_nonzero(weight.values))))
            continue
        weights = nonzero = 0
        values = graph.evaluate(new)
        for name in new:
            fresh = ~taken[ids[name]] if name in ids else np.ones(values[name].shape, bool)
            weights += int(fresh.sum())
            nonzero += int(np.count_nonzero(values[name][fresh])) if weight.values.any() else 0
            if name in ids:
                taken[ids[name]] = True
        if weights:
            found.append((layer, weights, nonzero))
    return sorted(found, key=lambda each: place[id(each[0])])


def _nonzero(layer: ComputeNode) -> int:
    return 0 if layer.weight is None else int(np.count_nonzero(layer.weight.values))


def _shared_sources(graph: Graph, layers: Sequence[ComputeNode]) -> dict[str, list[str]]:
    """Tensors that layers read → the sources behind them, of which another layer reads a part as well."""
    tensors = list(dict.fromkeys(name for each in layers if each.weight is not None for name in each.weight.tensors))
    behind = {name: sources(graph, name) for name in tensors}
    readers: dict[str, int] = {}
    for each in behind.values():
        for source in each:
            readers[source] = readers.get(source, 0) + 1
    return {name: each for name, each in behind.items() if any(readers[source] > 1 for source in each)}


def _ids(graph: Graph, layers: Sequence[ComputeNode], shared: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """Which numbers the tensors in `shared` are made of; not of those that hold one of them twice."""
    sizes = {name: value.size for name, value in graph.evaluate({s for own in shared.values() for s in own}).items()}
    first_id, total = {}, 0
    for source, size in sizes.items():
        first_id[source] = total
        total += size
    ids = element_ids(graph, shared, first_id) if shared else {}
    return {name: each for name, each in ids.items() if np.unique(each).size == each.size}


def _is_copy(weight: Weight, other: Weight) -> bool:
    one, two = weight.values, other.values
    if one.shape != two.shape or one.size == 0 or one.flat[0] != two.flat[0] or not np.array_equal(one, two):
        return False
    values = one[one != 0]
    return bool(values.size) and bool((values != values[0]).any())
