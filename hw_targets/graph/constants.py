"""The tensors of an ONNX graph that no input's value can change, and their values.

Constant is what is computed from stored tensors alone. A tensor may also hang on the input's shape:
where it is the same for every batch size (`W[:x.shape[-1]]`), it is constant too, and its value is
found by running the shapes (`hw_targets.graph.shapes`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import numpy_helper

from hw_targets.graph.running import GraphError, run_unoptimised
from hw_targets.graph.shapes import constant_in_every_batch, element_types, known_shapes

RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
OF_SHAPE = frozenset({"EyeLike", "Shape", "Size"})  # read an input's shape, not its values


class Graph:
    """The tensors of a model's main graph, by name.

    Attributes:
        stored: name → tensor, for initialisers and `Constant` nodes alike.
        known: tensors that follow from the input's shape and are the same in every batch.
        constant: names of all tensors that depend on no input's value, the batch size included.
        fixed: these, and those that depend on the batch size alone.
        live: nodes that the model's outputs depend on, in the graph's order.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.producer = {out: node for node in model.graph.node for out in node.output if out}
        self.stored = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant":
                self.stored[node.output[0]] = _constant_tensor(node)
        self.live = self._nodes_of(value.name for value in model.graph.output)
        self.known: dict[str, onnx.TensorProto] = {}
        self._types: dict[str, int] = {}
        self.constant = self._follow(set(self.stored), frozenset())
        self.fixed = self._follow(set(self.constant), OF_SHAPE)
        if self.fixed != self.constant:
            wanted = constant_in_every_batch(self.live, self.stored, self.constant, self.fixed)
            self.known = known_shapes(model, self.stored, wanted)
            self.constant = self._follow(self.constant | set(self.known), frozenset())

    def evaluate(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The values of constant tensors, computed in ONNX Runtime where they are not stored.

        Raises:
            GraphError: the runtime refused to compute them.
        """
        names = list(dict.fromkeys(names))
        given = {**self.stored, **self.known}
        values = {name: numpy_helper.to_array(given[name]) for name in names if name in given}
        computed = [name for name in names if name not in values]
        if computed:
            values.update(zip(computed, run_unoptimised(self.part(computed, given), computed, {}), strict=True))
        return values

    def tensors(self, names: Iterable[str]) -> list[onnx.TensorProto]:
        """Constant tensors as a graph stores them, under their names here.

        Raises:
            GraphError: the runtime refused to compute one.
        """
        found = []
        names = list(dict.fromkeys(names))
        computed = self.evaluate(name for name in names if name not in self.stored)
        for name in names:
            tensor = onnx.TensorProto()
            tensor.CopyFrom(self.stored[name] if name in self.stored else numpy_helper.from_array(computed[name]))
            tensor.name = name
            found.append(tensor)
        return found

    def chain(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that a constant tensor is computed by, the last one first."""
        nodes: list[onnx.NodeProto] = []
        pending, seen = [name], set()
        while pending:
            current = pending.pop(0)
            node = self.producer.get(current)
            if current in seen or current in self.stored or current in self.known or node is None:
                continue
            seen.add(current)
            if node not in nodes:
                nodes.append(node)
            pending += reads(node)
        return nodes

    def roots(self, name: str) -> list[str]:
        """Stored tensors that `name` is computed from, the largest first: its values, then scales and shapes."""
        if name in self.stored:
            return [name]
        found = [each for node in self.chain(name) for each in reads(node) if each in self.stored]
        return sorted(dict.fromkeys(found), key=lambda each: -int(np.prod(self.stored[each].dims))) or [name]

    def nearest(self, name: str) -> str | None:
        """The largest stored tensor among those that fewest nodes lie between and `name`; no single numbers."""
        level, seen = [name], set()
        while level:
            behind = [each for each in level if each in self.constant for each in self.roots(each)]
            sizes = {each: int(np.prod(self.stored[each].dims)) for each in behind if each in self.stored}
            if sizes and max(sizes.values()) > 1:
                return max(sizes, key=lambda each: sizes[each])
            seen.update(level)
            nodes = [self.producer[each] for each in level if each in self.producer and each not in self.constant]
            level = [each for node in nodes for each in reads(node) if each not in seen]
        return None

    def part(self, names: list[str], given: dict[str, onnx.TensorProto]) -> onnx.ModelProto:
        """A model without inputs that computes `names` from the tensors `given`."""
        nodes = [self._without_like(node) for node in self._nodes_of(names, stop=given, values=True)]
        needed = {each for node in nodes for each in node.input}
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
        part = onnx.helper.make_graph(nodes, "constants", [], outputs)
        for name in sorted(needed & set(given)):
            tensor = part.initializer.add()
            tensor.CopyFrom(given[name])
            tensor.name = name
        return onnx.helper.make_model(part, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)

    def _without_like(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """A `CastLike`, whose type may be an activation's, as the `Cast` that it comes to."""
        if node.op_type != "CastLike":
            return node
        if not self._types:
            self._types.update(element_types(self.model, self.stored))
        target = node.input[1]
        kind = self.stored[target].data_type if target in self.stored else self._types.get(target, 0)
        if not kind:
            raise GraphError(f"CastLike {node.name!r}: the type of {target!r} is not known; use Cast.")
        return onnx.helper.make_node("Cast", [node.input[0]], list(node.output), to=kind)

    def _nodes_of(self, names: Iterable[str], stop: Iterable[str] = (), values: bool = False) -> list[onnx.NodeProto]:
        """The nodes that `names` are computed by, in the graph's order, back to the tensors at which to stop.

        Args:
            values: only what their values depend on.
        """
        seen, pending, nodes = set(stop), list(names), set()
        while pending:
            name = pending.pop()
            if name in seen or name not in self.producer:
                continue
            seen.add(name)
            node = self.producer[name]
            nodes.add(id(node))
            pending += reads(node) if values else node.input
        return [node for node in self.model.graph.node if id(node) in nodes]

    def _follow(self, known: set[str], of_shape: frozenset[str]) -> set[str]:
        """`known` and all that is computed from it; operators in `of_shape` need no known input."""
        for node in self.model.graph.node:  # in topological order, as ONNX demands
            inputs = reads(node)
            fixed = inputs and node.op_type not in RANDOM and known.issuperset(inputs)
            if (fixed or node.op_type in of_shape) and not any(
                a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute
            ):
                known.update(name for name in node.output if name)
        return known


def reads(node: onnx.NodeProto) -> list[str]:
    """The inputs on whose values a node's output depends: of a `CastLike`, not the one that gives the type."""
    return [name for name in (node.input[:1] if node.op_type == "CastLike" else node.input) if name]


def _constant_tensor(node: onnx.NodeProto) -> onnx.TensorProto:
    value = onnx.helper.get_attribute_value(node.attribute[0])
    if isinstance(value, onnx.TensorProto):
        return value
    if node.attribute[0].name in ("value_float", "value_floats"):
        return numpy_helper.from_array(np.asarray(value, np.float32))
    if node.attribute[0].name in ("value_int", "value_ints"):
        return numpy_helper.from_array(np.asarray(value, np.int64))
    raise GraphError(f"Constant {node.output[0]!r}: {node.attribute[0].name} cannot be traced; use `value`.")
