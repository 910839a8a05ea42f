"""Where stored numbers go when they are only moved: cut, joined, turned.

Each number of a tensor gets an id, and the same nodes are run on the ids: what comes out says which
number went where, whatever the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from hw_targets.graph.constants import Graph
from hw_targets.graph.running import run_unoptimised

MOVING = frozenset(
    {"Cast", "CastLike", "Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split"}
    | {"Squeeze", "Transpose", "Unsqueeze"}
)
SELECTING = frozenset({"Gather", "Slice", "Split"})


def moved_from(graph: Graph, node: onnx.NodeProto) -> list[str]:
    """The constant tensors whose numbers a node hands on unchanged, each at most once; none if it computes."""
    if node.op_type not in MOVING or not graph.constant.issuperset(name for name in node.output if name):
        return []
    if node.op_type == "Concat":
        return list(node.input)
    if node.op_type == "Gather" and not _picks_rows(graph, node):
        return []
    if node.op_type in ("Cast", "CastLike") and not _keeps_values(graph, node):
        return []
    return [node.input[0]]


def sources(graph: Graph, name: str) -> list[str]:
    """The tensors that `name` was moved together from: stored ones, or such as are computed."""
    return [each for each, moved in _walk(graph, name).items() if not moved]


def _walk(graph: Graph, name: str) -> dict[str, list[str]]:
    """`name` and all tensors on the way it was moved → those each came from; none for a source."""
    found: dict[str, list[str]] = {}
    pending = [name]
    while pending:
        current = pending.pop()
        if current in found:
            continue
        node = graph.producer.get(current)
        if current in graph.stored or current in graph.known or node is None:
            found[current] = []
        else:
            found[current] = moved_from(graph, node)
        pending += found[current]
    return found


def element_ids(graph: Graph, names: Iterable[str], first_id: Mapping[str, int]) -> dict[str, np.ndarray]:
    """For each of `names`, which number of which source each of its elements is.

    Args:
        first_id: sources → the id of their first number; the numbers of other sources get −1.

    Returns:
        int64 arrays of the shapes of `names`.
    """
    names = list(dict.fromkeys(names))
    walked = {each: moved for name in names for each, moved in _walk(graph, name).items()}
    origins = [each for each, moved in walked.items() if not moved]
    shapes = {source: value.shape for source, value in graph.evaluate(origins).items()}
    given = {**graph.stored, **graph.known}
    for source in origins:
        size = int(np.prod(shapes[source], dtype=np.int64))
        start = first_id.get(source)
        ids = np.full(size, -1) if start is None else np.arange(start, start + size)
        given[source] = numpy_helper.from_array(ids.astype(np.int64).reshape(shapes[source]))
    part = graph.part(names, given)
    for node in part.graph.node:
        if node.op_type == "Cast" and walked.get(node.output[0]):  # ids stay integers
            node.op_type = "Identity"
            del node.attribute[:]
    found = {name: numpy_helper.to_array(given[name]) for name in names if name in given}
    wanted = [name for name in names if name not in found]
    if wanted:
        del part.graph.output[:]
        part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
        found.update(zip(wanted, run_unoptimised(part, wanted, {}), strict=True))
    return found


def _picks_rows(graph: Graph, node: onnx.NodeProto) -> bool:
    """A `Gather` of evenly spaced rows, as a slice would pick them; any other order is stored in its indexes."""
    rows = graph.evaluate([node.input[1]])[node.input[1]]
    steps = np.diff(rows.astype(np.int64)) if rows.ndim <= 1 else np.zeros(1)
    return rows.size < 2 or (bool(steps[0]) and bool((steps == steps[0]).all()))


def _keeps_values(graph: Graph, node: onnx.NodeProto) -> bool:
    """To a type that holds the same numbers."""
    before, after = graph.evaluate([node.input[0], node.output[0]]).values()
    return np.array_equal(before, after.astype(before.dtype)) and np.array_equal(before.astype(after.dtype), after)
