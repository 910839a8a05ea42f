"""Which nodes of an ONNX graph multiply, and by which weights.

A weight may reach its layer straight from an initialiser or through a chain that depends on no
input: a transposition, an int8 tensor and its scale (`DequantizeLinear`), a codebook and its codes
(`Gather`, Han et al. 2016, "Deep Compression", arXiv 1510.00149, section 3). Whatever the chain,
the weight is what the runtime computes from it, so such chains are run, not interpreted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from onnx import numpy_helper

from hw_targets.integers import with_real_products

Kind = Literal["conv", "linear", "lstm", "matmul"]

MULTIPLYING = ("Conv", "Gemm", "MatMul", "LSTM")
NOT_UNDERSTOOD = frozenset(
    {"Attention", "ConvInteger", "ConvTranspose", "DeformConv", "Einsum"}
    | {"GRU", "MatMulInteger", "QLinearConv", "QLinearMatMul", "RNN"}
)
# Operators that hand each stored number on as one weight, so that the weight is as wide as it.
HANDING_ON = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
# `fc.weight`, or what a parametrisation of it keeps: `fc.parametrizations.weight.0.codes`.
LAYER_OF_WEIGHT = r"(.+?)(?:\.weight|\.parametrizations\.weight\..+)"
RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)


class GraphError(ValueError):
    """A graph whose multiplications cannot be counted; says which node and why."""


@dataclass(frozen=True)
class Weight:
    """A layer's weight in its canonical layout, in which every simulator reads it.

    Attributes:
        values: float32. Linear `[out, in]`; conv `[c_o, c_i / groups, k_h, k_w]`, where a 1-D
            convolution has k_h = 1; lstm `[4·hidden, in + hidden]`, W and R side by side with the
            gates in ONNX's order i, o, f, c.
        codebook: the distinct values the weight was gathered from, or None.
        scale: float32 of the `DequantizeLinear` the weight came through, or None.
        stored_dtype: ONNX data type of what is stored for each weight: codes, integers or floats;
            float where the weight is computed in another way (a product with a mask).
        roots: names of the stored tensors that the chain starts from.
    """

    values: np.ndarray
    codebook: np.ndarray | None
    scale: np.ndarray | None
    stored_dtype: int
    roots: tuple[str, ...]


@dataclass(frozen=True)
class ComputeNode:
    """A node that multiplies.

    Attributes:
        inputs: names of the activations that it reads: one, or two for a `matmul` without weights.
        weight_on_left: the weight is the first factor, so that the columns of the activations
            are the samples.
    """

    name: str
    kind: Kind
    node: onnx.NodeProto
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...]
    weight: Weight | None
    weight_on_left: bool = False


class Graph:
    """The tensors of a model's main graph, by name.

    Attributes:
        stored: name → tensor, for initialisers and `Constant` nodes alike.
        constant: names of all tensors that depend on no input.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.producer = {out: node for node in model.graph.node for out in node.output if out}
        self.stored = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant":
                self.stored[node.output[0]] = _constant_tensor(node)
        self.constant = set(self.stored)
        for node in model.graph.node:  # in topological order, as ONNX demands
            inputs = [name for name in node.input if name]
            fixed = inputs and node.op_type not in RANDOM and self.constant.issuperset(inputs)
            if fixed and not any(
                a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute
            ):
                self.constant.update(name for name in node.output if name)

    def evaluate(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The values of constant tensors, computed in ONNX Runtime where they are not stored.

        Raises:
            GraphError: the runtime refused to compute them.
        """
        names = list(dict.fromkeys(names))
        values = {name: numpy_helper.to_array(self.stored[name]) for name in names if name in self.stored}
        computed = [name for name in names if name not in values]
        if computed:
            values.update(zip(computed, run_unoptimised(self._constant_part(computed), computed, {}), strict=True))
        return values

    def chain(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that a constant tensor is computed by, the last one first."""
        nodes: list[onnx.NodeProto] = []
        pending, seen = [name], set()
        while pending:
            current = pending.pop(0)
            node = self.producer.get(current)
            if current in seen or current in self.stored or node is None:
                continue
            seen.add(current)
            if node not in nodes:
                nodes.append(node)
            pending += [each for each in node.input if each]
        return nodes

    def _constant_part(self, names: list[str]) -> onnx.ModelProto:
        nodes = {id(node) for name in names for node in self.chain(name)}
        nodes_in_order = [node for node in self.model.graph.node if id(node) in nodes]
        needed = {each for node in nodes_in_order for each in node.input}
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
        part = onnx.helper.make_graph(nodes_in_order, "constants", [], outputs)
        for name in sorted(needed & set(self.stored)):
            tensor = part.initializer.add()
            tensor.CopyFrom(self.stored[name])
            tensor.name = name
        return onnx.helper.make_model(part, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)


def compute_nodes(model: onnx.ModelProto) -> list[ComputeNode]:
    """All nodes that multiply activations, by weights or by one another, in the graph's order.

    Products of integers are those of the reals that they stand for (`with_real_products`).

    A layer is named after its weight's stored tensor, without `.weight` and what may follow it
    (`layer1.0.conv1`), and otherwise after its node.

    Raises:
        GraphError: a node multiplies in a way that is not understood; counting nothing for it
            would be wrong.
    """
    model = with_real_products(model)
    graph = Graph(model)
    found = []
    names: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in NOT_UNDERSTOOD:
            raise GraphError(f"Node {node.name!r}: operator {node.op_type} cannot be traced. Known: {MULTIPLYING}.")
        if node.op_type not in MULTIPLYING or graph.constant.issuperset(node.output):
            continue
        compute = _compute_node(graph, node)
        names[compute.name] = names.get(compute.name, 0) + 1
        if names[compute.name] > 1:  # the same weight is used again
            compute = ComputeNode(**{**vars(compute), "name": f"{compute.name}#{names[compute.name]}"})
        found.append(compute)
    return found


def _compute_node(graph: Graph, node: onnx.NodeProto) -> ComputeNode:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "LSTM":
        return _lstm(graph, node, attributes)
    constant = [name in graph.constant for name in node.input[:2]]
    if node.op_type == "Conv":
        if not constant[1]:
            raise GraphError(f"Convolution {node.name!r}: its weights depend on the input.")
        values = _as_2d_convolution(graph.evaluate([node.input[1]])[node.input[1]], node)
        weight = _weight(graph, [node.input[1]], values)
        return ComputeNode(_name(node, weight), "conv", node, attributes, (node.input[0],), weight)
    if not any(constant):
        return ComputeNode(_name(node, None), "matmul", node, attributes, tuple(node.input[:2]), None)
    left = constant[0]
    name = node.input[0 if left else 1]
    values = _as_matrix(graph.evaluate([name])[name], node)
    transposed = bool(attributes.get("transA" if left else "transB", 0))
    factor = float(attributes.get("alpha", 1.0)) if node.op_type == "Gemm" else 1.0
    values = values if transposed != left else values.T
    weight = _weight(graph, [name], values, factor)
    return ComputeNode(_name(node, weight), "linear", node, attributes, (node.input[1 if left else 0],), weight, left)


def _lstm(graph: Graph, node: onnx.NodeProto, attributes: Mapping[str, Any]) -> ComputeNode:
    if attributes.get("direction", b"forward") != b"forward" or attributes.get("layout", 0):
        raise GraphError(f"LSTM {node.name!r}: only one forward direction, with layout 0, can be traced.")
    if not graph.constant.issuperset(node.input[1:3]):
        raise GraphError(f"LSTM {node.name!r}: its weights depend on the input.")
    parts = graph.evaluate(node.input[1:3])
    values = np.concatenate([parts[node.input[1]][0], parts[node.input[2]][0]], axis=1)
    weight = _weight(graph, list(node.input[1:3]), values)
    return ComputeNode(_name(node, weight), "lstm", node, attributes, (node.input[0],), weight)


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
    roots = [each for name in names for each in _roots(graph, name)]
    stored_dtype = graph.stored[stored].data_type if stored in graph.stored else onnx.TensorProto.FLOAT
    canonical = np.ascontiguousarray(values, np.float32)
    if factor != 1.0:
        canonical = canonical * np.float32(factor)
    return Weight(canonical, codebook, scale, stored_dtype, tuple(dict.fromkeys(roots)))


def _roots(graph: Graph, name: str) -> list[str]:
    """Stored tensors that `name` is computed from, the largest first: its values, then scales and shapes."""
    if name in graph.stored:
        return [name]
    found = [each for node in graph.chain(name) for each in node.input if each in graph.stored]
    return sorted(dict.fromkeys(found), key=lambda each: -int(np.prod(graph.stored[each].dims)))


def _name(node: onnx.NodeProto, weight: Weight | None) -> str:
    if weight is not None:
        for root in weight.roots:
            if found := re.fullmatch(LAYER_OF_WEIGHT, root):
                return found[1]
    return node.name or node.output[0]


def _as_2d_convolution(values: np.ndarray, node: onnx.NodeProto) -> np.ndarray:
    if values.ndim == 3:
        return values[:, :, None, :]
    if values.ndim != 4:
        raise GraphError(f"Convolution {node.name!r} has weights {list(values.shape)}; 1-D and 2-D can be traced.")
    return values


def _as_matrix(values: np.ndarray, node: onnx.NodeProto) -> np.ndarray:
    if values.ndim > 2 and np.prod(values.shape[:-2]) == 1:
        return values.reshape(values.shape[-2:])
    if values.ndim != 2:
        raise GraphError(f"{node.op_type} {node.name!r} has weights {list(values.shape)}; only a matrix can be traced.")
    return values


def _constant_tensor(node: onnx.NodeProto) -> onnx.TensorProto:
    value = onnx.helper.get_attribute_value(node.attribute[0])
    if isinstance(value, onnx.TensorProto):
        return value
    if node.attribute[0].name in ("value_float", "value_floats"):
        return numpy_helper.from_array(np.asarray(value, np.float32))
    if node.attribute[0].name in ("value_int", "value_ints"):
        return numpy_helper.from_array(np.asarray(value, np.int64))
    raise GraphError(f"Constant {node.output[0]!r}: {node.attribute[0].name} cannot be traced; use `value`.")


def run_unoptimised(model: onnx.ModelProto, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Run in ONNX Runtime with all graph optimisations off, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        values: list[np.ndarray] = session.run(outputs, feed)
        return values
    except Exception as error:  # the runtime's errors share no narrower base
        raise GraphError(f"ONNX Runtime could not run the graph: {error}") from error
