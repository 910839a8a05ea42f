"""What a graph's shapes are, found by running it with its weights left out.

Shapes are computed in the graph itself (`Shape → Gather → Concat → Reshape`), and slices of a weight
may be bounded by them. A run on zeros says what they come to, at the price of one inference.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.utils import Extractor

from hw_targets.graph.running import GraphError, run_unoptimised

BATCHES = (1, 2, 32, 100)  # among them all sizes in which models are judged and measured
SMALL = 64  # elements; larger floats are left out, whose values no shape depends on
FREE = 4  # any length, for a free dimension that is not the batch
LEFT_OUT = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
INDEXES = 8  # elements; a longer tensor is no shape
MULTIPLYING = frozenset({"Conv", "ConvTranspose", "Einsum", "Gemm", "GRU", "LSTM", "MatMul", "RNN"})


def constant_in_every_batch(
    nodes: Iterable[onnx.NodeProto],
    stored: Mapping[str, TensorProto],
    constant: Collection[str],
    fixed: Collection[str],
) -> list[str]:
    """The tensors that hang on shapes and meet a stored tensor longer than a shape, or are a layer's weight.

    Nothing else is worth running the graph for.

    Args:
        constant: names that depend on nothing.
        fixed: these, and those that depend on the input's shape alone.
    """
    long = {name for name, tensor in stored.items() if _is_long(tensor)}
    wanted: list[str] = []
    for node in nodes:
        inputs = [name for name in node.input if name]
        if any(name in long for name in inputs) and all(name in fixed for name in node.output if name):
            long.update(node.output)
        elif node.op_type not in MULTIPLYING:
            continue
        wanted += [name for name in inputs if name in fixed and name not in constant and name not in long]
    return list(dict.fromkeys(wanted))


def known_shapes(
    model: onnx.ModelProto, stored: Mapping[str, TensorProto], names: Sequence[str]
) -> dict[str, TensorProto]:
    """Those of `names` that come out alike whatever the batch, with their values."""
    if not names:
        return {}
    first, *others = (run_on_zeros(model, stored, names, batch=batch) for batch in BATCHES)
    alike = (name for name in first if all(name in each and np.array_equal(first[name], each[name]) for each in others))
    return {name: numpy_helper.from_array(first[name], name) for name in alike}


def run_on_zeros(
    model: onnx.ModelProto,
    stored: Mapping[str, TensorProto],
    names: Sequence[str],
    *,
    batch: int,
    small: int = SMALL,
    given: Mapping[str, np.ndarray] | None = None,
    thin: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """The values that `names` have where the input and all large floats are zero.

    Args:
        small: the size up to which floats keep their values.
        given: tensors that have these values, whatever the graph computes.
        thin: outputs of `MatMul` nodes whose weights are zero, so that one of their columns does for all.

    Returns:
        None of them where the graph cannot be run so.
    """
    skeleton = _skeleton(model, stored, small, given or {})
    _make_thin(skeleton.graph, thin)
    return _run(skeleton, list(names), batch=batch)


def element_types(model: onnx.ModelProto, stored: Mapping[str, TensorProto]) -> dict[str, int]:
    """The ONNX data type of every tensor that has one."""
    inferred = onnx.shape_inference.infer_shapes(_skeleton(model, stored, SMALL, {})).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def _is_long(tensor: TensorProto) -> bool:
    size = int(np.prod(tensor.dims, dtype=np.int64))
    return size > (INDEXES if tensor.data_type == TensorProto.INT64 else 1)


def _skeleton(
    model: onnx.ModelProto, stored: Mapping[str, TensorProto], small: int, given: Mapping[str, np.ndarray]
) -> onnx.ModelProto:
    """`model` with zeros of the same shape in place of its large floats."""
    graph = onnx.GraphProto(name="skeleton")
    graph.input.extend(value for value in model.graph.input if value.name not in stored)
    graph.output.extend(model.graph.output)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in given.items())
    for name, tensor in stored.items():
        if name in given:
            continue
        if tensor.data_type in LEFT_OUT and np.prod(tensor.dims, dtype=np.int64) > small:
            shape = numpy_helper.from_array(np.asarray(tensor.dims, np.int64), f"{name}.dims")
            zero = onnx.helper.make_tensor("zero", tensor.data_type, [1], [0.0])
            graph.initializer.append(shape)
            graph.node.append(onnx.helper.make_node("ConstantOfShape", [shape.name], [name], value=zero))
        else:
            kept = graph.initializer.add()
            kept.CopyFrom(tensor)
            kept.name = name
    graph.node.extend(
        node for node in model.graph.node if node.op_type != "Constant" and not set(node.output) & set(given)
    )
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _make_thin(graph: onnx.GraphProto, outputs: Collection[str]) -> None:
    """Give the products that make `outputs` one inner element in place of all: a zero takes no time to sum."""
    nodes = []
    for node in graph.node:
        if node.op_type == "MatMul" and node.output[0] in outputs:
            for slot, axis in ((0, "last"), (1, "before")):
                name = f"{node.output[0]}.{axis}"
                bounds = ["thin.none", "thin.one", f"thin.{axis}"]
                nodes.append(onnx.helper.make_node("Slice", [node.input[slot], *bounds], [name]))
                node.input[slot] = name
        nodes.append(node)
    if len(nodes) > len(graph.node):
        places = {"thin.none": 0, "thin.one": 1, "thin.last": -1, "thin.before": -2}
        graph.initializer.extend(numpy_helper.from_array(np.asarray([at]), name) for name, at in places.items())
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)


def _run(model: onnx.ModelProto, names: list[str], *, batch: int) -> dict[str, np.ndarray]:
    """The tensors `names` for zeros as input, by only the nodes that they need."""
    model.graph.value_info.extend(onnx.ValueInfoProto(name=name) for name in names)  # the extractor asks for them
    try:
        part = Extractor(model).extract_model([value.name for value in model.graph.input], names)
    except AssertionError:  # two nodes give one tensor: no graph that a runtime takes
        return {}
    feed = {value.name: _zeros(value, batch) for value in part.graph.input}
    try:
        return dict(zip(names, run_unoptimised(part, names, feed), strict=True))
    except GraphError:  # not every graph takes zeros; what is not found stays unknown, and counts as kept
        return {}


def _zeros(value: onnx.ValueInfoProto, batch: int) -> np.ndarray:
    tensor = value.type.tensor_type
    lengths = [d.dim_value if d.HasField("dim_value") else FREE for d in tensor.shape.dim]
    if lengths and not tensor.shape.dim[0].HasField("dim_value"):
        lengths[0] = batch
    return np.zeros(lengths, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
