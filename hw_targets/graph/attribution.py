"""Every number stored in a file, and what it is there for: nothing vanishes from the counts.

A stored number belongs to exactly one of: the weights of layers (with the codes, scales and masks that
they are computed from), other parameters (biases, norms, tables), shape arithmetic, numbers on which
no output depends, and numbers that cannot be attributed. The first role in this order counts where
a number has several. The roles of constant tensors are followed from the layers back to what is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from hw_targets.graph.carrying import weights_in_products
from hw_targets.graph.constants import Graph
from hw_targets.graph.movement import SELECTING, element_ids, moved_from
from hw_targets.graph.onnx_graph import ComputeNode
from hw_targets.graph.outside import numbers_outside
from hw_targets.graph.roles import BY_WEIGHT, TABLES, Role, Uses, first, is_index, is_layout

UNUSED = len(BY_WEIGHT)


@dataclass(frozen=True)
class Numbers:
    """How many of a file's stored numbers are there for what. They sum to all that it stores.

    Attributes:
        layers: layers' weights, and the codes, codebooks, scales and masks that these are computed from.
        other: parameters that no layer multiplies by: biases, norms, tables, quantisers of activations.
        shapes: axes, shapes, bounds and indexes.
        unattributed: neither; they count as weights that were kept.
        unused: on which no output depends.
    """

    layers: int
    other: int
    shapes: int
    unattributed: int
    unused: int

    @property
    def stored(self) -> int:
        """All."""
        return self.layers + self.other + self.shapes + self.unattributed + self.unused


@dataclass(frozen=True)
class Attribution:
    """What a file's constant tensors are for.

    Attributes:
        numbers: stored, by what they are there for.
        not_layers: stored tensor → how many of its numbers are in no layer.
        unattributed: stored tensor → numbers that products of activations multiply by.
        tables, others, shapes: numbers that meet activations outside layers, see `numbers_outside`.
    """

    numbers: Numbers
    not_layers: Mapping[str, int]
    unattributed: Mapping[str, int]
    tables: int
    others: int
    shapes: int


def attribute(graph: Graph, computes: Sequence[ComputeNode]) -> Attribution:
    """Find out what each stored number of `graph`, whose multiplying nodes are `computes`, is there for.

    Raises:
        GraphError: a product takes a stored tensor in a form in which its weights cannot be counted.
    """
    hidden = weights_in_products(graph, computes)
    uses = _uses(graph, computes, frozenset(hidden))
    by_element = _roles_of_numbers(graph, uses)
    counts = np.zeros(UNUSED + 1, np.int64)
    for each in by_element.values():
        counts += each
    total = dict(zip((*BY_WEIGHT, "unused"), counts.tolist(), strict=True))
    outside = numbers_outside(graph, computes, uses)
    return Attribution(
        Numbers(
            layers=total["layer"],
            other=total["table"] + total["other"],
            shapes=total["shape"],
            unattributed=total["unattributed"],
            unused=total["unused"],
        ),
        {name: int(each[1:].sum()) for name, each in by_element.items()},
        _by_stored_tensor(graph, hidden),
        outside["table"],
        outside["other"],
        outside["shape"],
    )


def _uses(graph: Graph, computes: Sequence[ComputeNode], hidden: frozenset[str]) -> Uses:
    """Constant tensor → the nodes that read it, each with what for; None stands for the model's output."""
    layers = {id(each.node): each.weight.tensors for each in computes if each.weight is not None}
    uses: Uses = {name: [] for name in graph.fixed}
    for output in graph.model.graph.output:
        if output.name in uses:
            uses[output.name].append((None, "other"))
    for node in reversed(graph.live):
        inherited: Role | None = None
        if graph.fixed.issuperset(name for name in node.output if name):
            inherited = first({role for name in node.output if name for _, role in uses[name]})
        for slot, name in enumerate(node.input):
            if name not in graph.fixed:
                continue
            if inherited is not None:
                role: Role = "shape" if is_layout(node, slot) else inherited
            else:
                role = _role(node, slot, name in layers.get(id(node), ()))
            if name in hidden and role in ("table", "other"):
                role = "unattributed"
            uses[name].append((node, role))
    return uses


def _role(node: onnx.NodeProto, slot: int, of_layer: bool) -> Role:
    """What an input of a node that also reads activations is for."""
    if of_layer:
        return "layer"
    if is_layout(node, slot) or is_index(node, slot):
        return "shape"
    return "table" if node.op_type in TABLES and slot == 0 else "other"


def _roles_of_numbers(graph: Graph, uses: Uses) -> dict[str, np.ndarray]:
    """Stored tensor → how many of its numbers have each role, int64 `[roles + 1]`; unused ones last."""
    found, pieces = {}, {}
    for name in graph.stored:
        reached = _reached(graph, name, uses)
        role = first({role for _, role in uses[name]})
        counts = np.zeros(UNUSED + 1, np.int64)
        counts[UNUSED if role is None else BY_WEIGHT.index(role)] = _size(graph, name)
        found[name] = counts
        if len(reached) > 1 and role != "shape":
            pieces[name] = reached
    if pieces:
        found.update(_roles_of_pieces(graph, pieces))
    return found


def _reached(graph: Graph, name: str, uses: Uses) -> dict[str, Role | None]:
    """Where a stored tensor's numbers are moved to → what they are used for there, if it is used in pieces."""
    found: dict[str, Role | None] = {}
    pending, selected = [name], False
    while pending:
        current = pending.pop()
        if current in found:
            continue
        ends: set[Role] = set()
        for node, role in uses[current]:
            if node is not None and current in moved_from(graph, node):
                pending += [each for each in node.output if each]
                selected |= node.op_type in SELECTING
            else:
                ends.add(role)
        found[current] = first(ends)
    return found if selected else {}


def _roles_of_pieces(graph: Graph, pieces: Mapping[str, Mapping[str, Role | None]]) -> dict[str, np.ndarray]:
    first_id, total = {}, 0
    for name in pieces:
        first_id[name] = total
        total += _size(graph, name)
    used = {name: role for reached in pieces.values() for name, role in reached.items() if role is not None}
    roles = np.full(total, UNUSED, np.int8)
    ids = element_ids(graph, used, first_id)
    for name, role in used.items():
        own = ids[name][ids[name] >= 0]
        roles[own] = np.minimum(roles[own], BY_WEIGHT.index(role))
    return {
        name: np.bincount(roles[start : start + _size(graph, name)], minlength=UNUSED + 1)
        for name, start in first_id.items()
    }


def _by_stored_tensor(graph: Graph, names: Sequence[str]) -> dict[str, int]:
    """Constant tensors under the names of the largest stored ones behind them."""
    found: dict[str, int] = {}
    for name in names:
        stored = graph.roots(name)[0]
        found[stored] = found.get(stored, 0) + _size(graph, name)
    return found


def _size(graph: Graph, name: str) -> int:
    stored = graph.stored.get(name)
    return int(np.prod(stored.dims, dtype=np.int64)) if stored is not None else graph.evaluate([name])[name].size
