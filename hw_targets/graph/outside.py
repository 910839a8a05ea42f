"""Numbers that meet activations outside the layers: tables, biases and the rest, shapes and indexes.

Each counts every time that it meets an activation, zero or not: a zero may say what has another sign, or is
not summed. So do the floats in a node's attributes, and shapes: a weight's numbers may also be written as
slopes of activations, as how often a value is repeated, or as which values are summed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from hw_targets.graph.constants import Graph
from hw_targets.graph.movement import sources
from hw_targets.graph.onnx_graph import ComputeNode
from hw_targets.graph.roles import Role, Uses, first
from hw_targets.graph.shapes import run_on_zeros

COUNTED: tuple[Role, ...] = ("table", "other", "shape")


def numbers_outside(graph: Graph, computes: Sequence[ComputeNode], uses: Uses) -> dict[Role, int]:
    """Role → how many.

    A table that a layer multiplies by as well, whole and unchanged, is counted there. Of a batch norm's
    four numbers for each channel two count, its slope and its offset: folding it must not make room.
    """
    meeting: dict[str, Role] = {}
    times: dict[str, int] = {}
    for name in graph.fixed:
        ends = [role for node, role in uses[name] if node is None or not _is_fixed(graph, node)]
        role = first(set(ends) - {"layer"})
        if role in COUNTED:
            meeting[name] = role
            times[name] = len(ends) - ends.count("layer")
    lengths, in_layers = _sizes(graph, list(meeting)), _in_layers(graph, computes)
    found: dict[Role, int] = dict.fromkeys(COUNTED, 0)
    for name, own in meeting.items():
        if name not in in_layers:
            found[own] += lengths[name] * times[name]
    norms = [
        node for node in graph.live if node.op_type == "BatchNormalization" and meeting.keys() >= {*node.input[1:5]}
    ]
    spare = sum(2 * lengths[norm.input[1]] for norm in norms)
    return {**found, "other": found["other"] + _in_attributes(graph) - spare}


def _is_fixed(graph: Graph, node: onnx.NodeProto) -> bool:
    return graph.fixed.issuperset(name for name in node.output if name)


def _sizes(graph: Graph, names: Sequence[str]) -> dict[str, int]:
    """How many numbers each tensor has; of those that hang on the batch, for one sample."""
    values = graph.evaluate(name for name in names if name in graph.constant)
    hanging = [name for name in names if name not in values]
    if hanging:
        values |= run_on_zeros(graph.model, graph.stored, hanging, batch=1)
    return {name: values[name].size if name in values else _behind(graph, name) for name in names}


def _behind(graph: Graph, name: str) -> int:
    """What is stored behind a tensor that cannot be computed."""
    seen, pending, size = set(), [name], 0
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in graph.stored:
            size += int(np.prod(graph.stored[current].dims, dtype=np.int64))
        elif current in graph.producer:
            pending += [each for each in graph.producer[current].input if each in graph.fixed]
    return size


def _in_layers(graph: Graph, computes: Sequence[ComputeNode]) -> set[str]:
    """Stored tensors that are a layer's weight, whole and moved at most, or its codes, zero where that is zero."""
    found = set()
    for each in computes:
        if each.weight is None or len(each.weight.tensors) != 1:
            continue
        nonzero = int(np.count_nonzero(each.weight.values))
        for origin, values in graph.evaluate(_whole(graph, each.weight.tensors[0])).items():
            signed = values.dtype.kind == "f" and np.signbit(values[values == 0]).any()
            if values.size == each.weight.values.size and nonzero == np.count_nonzero(values) and not signed:
                found.add(origin)
    return found


def _whole(graph: Graph, name: str) -> list[str]:
    """The one tensor that `name` was moved from, and the codes that it stands for; none where there are several."""
    behind = sources(graph, name)
    if len(behind) != 1:
        return []
    node = graph.producer.get(behind[0])
    if node is None or node.op_type != "DequantizeLinear" or node.input[0] not in graph.constant:
        return behind
    codes = sources(graph, node.input[0])
    return behind + codes[: len(codes) == 1]


def _in_attributes(graph: Graph) -> int:
    """Floats that nodes bring along which read activations."""
    return sum(
        len(attribute.floats) + (attribute.type == onnx.AttributeProto.FLOAT)
        for node in graph.live
        if not _is_fixed(graph, node)
        for attribute in node.attribute
    )
