"""Products of integers, written as the products of reals that they stand for.

A layer may multiply integers outright: `MatMulInteger` or `ConvInteger` on codes that
`DynamicQuantizeLinear` or `QuantizeLinear` made, then `Cast` and a `Mul` by both scales. What it
multiplies are the reals `scale · (code − zero point)` (Jacob et al. 2018, arXiv 1712.05877, eq. 1 to
4). Written so, with a `DequantizeLinear` on each factor, it is a layer like any other to all that
counts, traces or simulates, and computes the same up to the rounding of float sums.

Where a scale cannot be told from the graph, the factors are `code − zero point`: the weight's zeros
are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto, helper

INTEGER_PRODUCTS = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}
ROUNDING = {"DynamicQuantizeLinear": "output", "QuantizeLinear": "input"}  # where the scale stands, in second place


def with_real_products(model: onnx.ModelProto, *, rounded: bool = True) -> onnx.ModelProto:
    """`model` with products of reals in place of those of integers; `model` itself where there are none.

    Stored tensors stay as they are, and so do the names of all tensors that are still computed.

    Args:
        rounded: False leaves out the rounding of activations to ranges found at run time, for a machine
            that computes them in a format of its own.
    """
    if not any(node.op_type in INTEGER_PRODUCTS for node in model.graph.node):
        return model
    graph = _Graph(model, rounded=rounded)
    real = onnx.ModelProto()
    real.CopyFrom(model)
    del real.graph.node[:], real.graph.value_info[:]
    real.graph.node.extend(_needed(graph.rewritten(), [value.name for value in model.graph.output]))
    return real


def has_ranges_at_run_time(model: onnx.ModelProto) -> bool:
    """Whether values are rounded on ranges that the batch decides, so that samples have an effect on one another."""
    return any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node)


@dataclass(frozen=True)
class _Factor:
    """One side of an integer product. Empty names: no zero point is given, no scale is known."""

    codes: str
    zero_point: str
    scale: str = ""


@dataclass(frozen=True)
class _Ending:
    """The nodes that make reals of an integer product, the last one last, and what they multiply by."""

    nodes: tuple[onnx.NodeProto, ...]
    scales: tuple[str, ...]


class _Graph:
    """Who makes and who reads each tensor of a model, and its shape where that is known."""

    def __init__(self, model: onnx.ModelProto, *, rounded: bool) -> None:
        self.rounded = rounded
        self.nodes = model.graph.node
        self.producer = {out: node for node in self.nodes for out in node.output if out}
        self.readers: dict[str, list[onnx.NodeProto]] = {value.name: [] for value in model.graph.output}
        self.ends = set(self.readers)
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.constant = {tensor.name for tensor in model.graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" or (node.input and self.constant.issuperset(filter(None, node.input))):
                self.constant.update(node.output)
        inferred = onnx.shape_inference.infer_shapes(model).graph
        self.shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
        for value in (*inferred.input, *inferred.value_info, *inferred.output):
            if value.type.tensor_type.HasField("shape"):
                lengths = value.type.tensor_type.shape.dim
                self.shapes[value.name] = [d.dim_value if d.HasField("dim_value") else -1 for d in lengths]

    def rewritten(self) -> list[onnx.NodeProto]:
        """All nodes in order, with real products."""
        instead: dict[int, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            if node.op_type not in INTEGER_PRODUCTS:
                continue
            inputs = [*node.input, "", ""]
            left, right = _Factor(inputs[0], inputs[2]), _Factor(inputs[1], inputs[3])
            for ending in self._endings(node):
                scaled = self._scaled(node, left, right, ending)
                if scaled is not None:
                    instead |= {id(each): [] for each in (node, *ending.nodes)}
                    instead[id(ending.nodes[-1])] = self._product(node, scaled, ending.nodes[-1].output[0])
                    break
            else:
                instead[id(node)] = self._product(node, (left, right), node.output[0], cast=True)
        return [new for node in self.nodes for new in instead.get(id(node), [node])]

    def _endings(self, node: onnx.NodeProto) -> Iterable[_Ending]:
        """Ever longer runs of multiplications behind `node`, of which nothing else reads the middle."""
        cast = self._only_reader(node.output[0], "Cast")
        nodes: tuple[onnx.NodeProto, ...] = () if cast is None else (cast,)
        scales: tuple[str, ...] = ()
        while nodes and (last := self._only_reader(nodes[-1].output[0], "Mul")) is not None:
            other = [name for name in last.input if name != nodes[-1].output[0]]
            if len(other) != 1:  # a square
                return
            nodes, scales = (*nodes, last), (*scales, *self._multiplied(other[0]))
            yield _Ending(nodes, scales)

    def _only_reader(self, name: str, operator: str) -> onnx.NodeProto | None:
        readers = self.readers.get(name, [])
        found = name not in self.ends and len(readers) == 1 and readers[0].op_type == operator
        return readers[0] if found else None

    def _multiplied(self, name: str) -> list[str]:
        maker = self.producer.get(name)
        if maker is None or maker.op_type != "Mul":
            return [name]
        return [scale for each in maker.input for scale in self._multiplied(each)]

    def _scaled(
        self, node: onnx.NodeProto, left: _Factor, right: _Factor, ending: _Ending
    ) -> tuple[_Factor, _Factor] | None:
        """Both factors with their scales, where the scales behind the product are just these two."""
        scales = list(ending.scales)
        known = []
        for factor in (left, right):
            maker = self.producer.get(factor.codes)
            scale = _scale_of(maker)
            if scale and scale in scales and self._is_scalar(scale) and self._is_scalar(factor.zero_point):
                scales.remove(scale)
                known.append(_Factor(factor.codes, factor.zero_point, scale))
        if len(known) == 2 and not scales:
            return known[0], known[1]
        if len(known) != 1 or len(scales) != 1:
            return None
        stored = right if known[0].codes == left.codes else left
        if not {stored.codes, scales[0]} <= self.constant or not self._is_for_each(node, stored, scales[0], right):
            return None
        scaled = _Factor(stored.codes, stored.zero_point, scales[0])
        return (known[0], scaled) if stored is right else (scaled, known[0])

    def _is_scalar(self, name: str) -> bool:
        """Also where nothing is given."""
        return not name or all(length == 1 for length in self.shapes.get(name, [0]))

    def _is_for_each(self, node: onnx.NodeProto, stored: _Factor, scale: str, right: _Factor) -> bool:
        """Whether `scale` and the zero point are one number, or one for each output of the stored factor."""
        if self._is_scalar(scale) and self._is_scalar(stored.zero_point):
            return True
        shape, weight = self.shapes.get(scale), self.shapes.get(stored.codes)
        if stored is not right or shape is None or not weight:
            return False
        outputs, behind = (weight[-1], 0) if node.op_type == "MatMulInteger" else (weight[0], len(weight) - 2)
        shape = [*[1] * (behind + 1 - len(shape)), *shape]
        others = [length for place, length in enumerate(shape) if place != len(shape) - 1 - behind]
        fits = shape[len(shape) - 1 - behind] in (1, outputs) and all(length == 1 for length in others)
        return fits and (self._is_scalar(stored.zero_point) or self.shapes.get(stored.zero_point) == [outputs])

    def _are_alike(self, factor: _Factor) -> bool:
        """Whether scale and zero point have one shape already, `[]` or `[n]`."""
        shape = self.shapes.get(factor.scale)
        return shape is not None and len(shape) < 2 and self.shapes.get(factor.zero_point, shape) == shape

    def _product(
        self, node: onnx.NodeProto, factors: tuple[_Factor, _Factor], output: str, *, cast: bool = False
    ) -> list[onnx.NodeProto]:
        """`node` on reals, as nodes; `cast` back where integers go on from there."""
        nodes: list[onnx.NodeProto] = []
        inputs = []
        for side, factor in zip(("left", "right"), factors, strict=True):
            name = f"{output}.{side}"
            axis = -1 if node.op_type == "MatMulInteger" else 0
            maker = self.producer.get(factor.codes)
            if not self.rounded and factor.scale and maker is not None and maker.op_type == "DynamicQuantizeLinear":
                inputs.append(maker.input[0])
                continue
            nodes += _dequantised(factor, name, axis, alike=self._are_alike(factor))
            inputs.append(name)
        result = f"{output}.real" if cast else output
        product = helper.make_node(INTEGER_PRODUCTS[node.op_type], inputs, [result], name=node.name)
        product.attribute.extend(node.attribute)
        nodes.append(product)
        if cast:
            nodes.append(helper.make_node("Cast", [result], [output], to=TensorProto.INT32))
        return nodes


def _scale_of(maker: onnx.NodeProto | None) -> str:
    if maker is None or maker.op_type not in ROUNDING:
        return ""
    return str((maker.output if ROUNDING[maker.op_type] == "output" else maker.input)[1])


def _dequantised(factor: _Factor, name: str, axis: int, *, alike: bool) -> list[onnx.NodeProto]:
    """Nodes that make reals of one factor; no tensor is stored for them.

    Args:
        alike: scale and zero point have the same shape.
    """
    codes, scale, zero_point = factor.codes, factor.scale, factor.zero_point
    nodes: list[onnx.NodeProto] = []

    def add(operator: str, inputs: list[str], ending: str = "", **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [f"{name}{ending}"], **attributes))
        return f"{name}{ending}"

    if not scale and not zero_point:
        add("Cast", [codes], to=TensorProto.FLOAT)
        return nodes
    if not scale:
        one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
        scale = add("ConstantOfShape", [add("Shape", [zero_point], ".shape")], ".scale", value=one)
    elif not alike:
        scale = add("Squeeze", [scale], ".scale")
        if zero_point:
            zero_point = add("Squeeze", [zero_point], ".zero_point")
            shapes = [add("Shape", [each], f"{ending}.shape") for each, ending in ((scale, ".a"), (zero_point, ".b"))]
            scale = add("Expand", [scale, shapes[1]], ".scales")
            zero_point = add("Expand", [zero_point, shapes[0]], ".zero_points")
    add("DequantizeLinear", [each for each in (codes, scale, zero_point) if each], axis=axis)
    return nodes


def _needed(nodes: Sequence[onnx.NodeProto], outputs: Collection[str]) -> list[onnx.NodeProto]:
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if node.op_type == "Constant" or wanted.intersection(node.output):  # what is stored stays
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]
