"""The trust boundary: a submission's ONNX file is read as data, checked, and refused where in doubt.

What is not on the list of operators is not run. Nothing of a submission's code exists any more
when this is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from harness.entries.refused import CONTROL_FLOW, instead_of
from harness.entries.rules import RuleBroken
from harness.tasks.task import InputContract
from harness.util.names import pick
from hw_targets.graph.onnx_graph import GraphError
from hw_targets.graph.weights import sizes

MIN_OPSET, MAX_OPSET = 13, 23
STANDARD_DOMAINS = ("", "ai.onnx")

# Integer layers come as QuantizeLinear–DequantizeLinear pairs, which every target can read, or as products
# of integers with their scales behind them, which `hw_targets.graph.integers` writes as such.
# By kind, so that a reader sees what a network may be made of. No control flow (If, Loop, Scan), no
# randomness, no strings, no sequences, no optional values, no operators of a runtime's own domain.
ALLOWED_OPERATORS = frozenset(
    """
    Conv ConvTranspose MatMul Gemm Einsum LSTM GRU RNN
    BatchNormalization LayerNormalization GroupNormalization InstanceNormalization LpNormalization
    QuantizeLinear DequantizeLinear DynamicQuantizeLinear MatMulInteger ConvInteger
    AveragePool MaxPool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool
    Relu LeakyRelu PRelu Elu Celu Selu Gelu Mish HardSigmoid HardSwish Sigmoid Tanh Softplus Softsign
    ThresholdedRelu Shrink Softmax LogSoftmax Hardmax Clip Erf
    Add Sub Mul Div Pow Sqrt Reciprocal Exp Log Abs Neg Sign Floor Ceil Round Min Max Mean Sum Mod
    Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh
    ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp
    ArgMax ArgMin TopK CumSum
    Equal Less LessOrEqual Greater GreaterOrEqual And Or Not Xor Where IsNaN IsInf
    Reshape Transpose Flatten Squeeze Unsqueeze Concat Split Slice Pad Expand Tile Gather GatherElements
    GatherND ScatterElements ScatterND DepthToSpace SpaceToDepth Col2Im Resize GridSample Trilu
    Identity Constant ConstantOfShape Shape Size Range Cast CastLike Dropout EyeLike OneHot
    """.split()
)


def admit(file: Path, contract: InputContract, *, limit_bytes: int) -> onnx.ModelProto:
    """Read a submission's ONNX file and check everything about it that can be checked without running it.

    Raises:
        RuleBroken: with one of the rules `file_too_large`, `unreadable_model`, `external_data`,
            `foreign_code`, `operator_not_allowed`, `opset_not_supported`, `invalid_graph`,
            `wrong_input`, `wrong_output`, `not_finite`, `not_countable`.
    """
    size = file.stat().st_size
    if size > limit_bytes:
        raise RuleBroken("file_too_large", f"The ONNX file has {size:,} bytes; the task allows {limit_bytes:,}.")
    try:
        model = onnx.load_model_from_string(file.read_bytes())
    except Exception as error:
        raise RuleBroken("unreadable_model", f"The delivered file is no ONNX model: {error}") from error
    _check_self_contained(model)
    _check_operators(model)
    inferred = _check_graph(model)
    _check_interface(inferred, contract)
    _check_finite(model)
    _check_countable(model)
    return model


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_self_contained(model: onnx.ModelProto) -> None:
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise RuleBroken("external_data", f"Tensor {tensor.name!r} keeps its data in another file.")
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise RuleBroken("foreign_code", f"Sparse initializer {name!r}: store the weight densely; its zeros count.")
    if model.functions:
        raise RuleBroken("foreign_code", f"The model defines a function of its own: {model.functions[0].name!r}.")
    if model.training_info:
        raise RuleBroken("foreign_code", "The model holds training information.")


def _check_operators(model: onnx.ModelProto) -> None:
    # Sets that no node uses do no harm: whatever ONNX Runtime has saved imports its own ones.
    version = max((each.version for each in model.opset_import if each.domain in STANDARD_DOMAINS), default=0)
    if not MIN_OPSET <= version <= MAX_OPSET:
        raise RuleBroken("opset_not_supported", f"Opset {version}: use one of {MIN_OPSET} to {MAX_OPSET}.")
    refused = [node for node in model.graph.node if not _is_allowed(node)]
    if refused:
        node = next((each for each in refused if each.op_type in CONTROL_FLOW), refused[0])  # what the others serve
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise RuleBroken(
            "operator_not_allowed",
            f"Operator {operator} (node {node.name!r}) is not on the list of allowed operators"
            f"{instead_of(operator)} See docs/onnx_operators.md.",
        )
    for node in model.graph.node:
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise RuleBroken("operator_not_allowed", f"Node {node.name!r} holds a graph of its own.")


def _is_allowed(node: onnx.NodeProto) -> bool:
    return node.domain in STANDARD_DOMAINS and node.op_type in ALLOWED_OPERATORS


def _check_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        onnx.checker.check_model(model, full_check=True)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise RuleBroken("invalid_graph", f"The ONNX checker refuses the model: {str(error).strip()}") from error


def _check_interface(model: onnx.ModelProto, contract: InputContract) -> None:
    initial = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initial]
    expected = f"one input, {contract.dtype} [batch, {', '.join(map(str, contract.shape))}]"
    if len(inputs) != 1:
        raise RuleBroken("wrong_input", f"The model has {len(inputs)} inputs; the task has {expected}.")
    dtype = pick("input type", contract.dtype, {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64})
    kind, shape = _shape(inputs[0])
    if kind != dtype or shape is None or tuple(shape[1:]) != tuple(contract.shape):
        raise RuleBroken("wrong_input", f"The model's input is {_show(inputs[0])}; the task has {expected}.")
    if shape[0] is not None:
        raise RuleBroken("wrong_input", f"The batch dimension is fixed to {shape[0]}; it must be free.")
    outputs = list(model.graph.output)
    expected = f"one output, float32 [batch, {contract.classes}]"
    if len(outputs) != 1:
        raise RuleBroken("wrong_output", f"The model has {len(outputs)} outputs; the task has {expected}.")
    kind, shape = _shape(outputs[0])
    fits = kind == TensorProto.FLOAT and shape is not None and len(shape) == 2 and shape[1] in (None, contract.classes)
    if not fits:
        raise RuleBroken("wrong_output", f"The model's output is {_show(outputs[0])}; the task has {expected}.")


def _shape(value: onnx.ValueInfoProto) -> tuple[int, list[int | None] | None]:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return tensor.elem_type, None
    return tensor.elem_type, [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]


def _show(value: onnx.ValueInfoProto) -> str:
    kind, shape = _shape(value)
    dims = "of unknown shape" if shape is None else "[" + ", ".join("?" if d is None else str(d) for d in shape) + "]"
    return f"{TensorProto.DataType.Name(kind).lower()} {dims}"


def _check_finite(model: onnx.ModelProto) -> None:
    for tensor in _tensors(model):
        values = numpy_helper.to_array(tensor)
        if not np.issubdtype(values.dtype, np.number) and values.dtype.kind not in "biu":
            values = values.astype(np.float32)
        bad = int(np.size(values) - np.sum(np.isfinite(values))) if values.dtype.kind == "f" else 0
        if bad and not _may_be_mask(values):
            raise RuleBroken("not_finite", f"{bad} values of {tensor.name or 'a constant'!r} are NaN or infinite.")


def _may_be_mask(values: np.ndarray) -> bool:
    """Attention masks hold −∞, which never reaches a result; in a layer's weight, counting finds it."""
    return not bool(np.any(np.isnan(values) | np.isposinf(values)))


def _check_countable(model: onnx.ModelProto) -> None:
    """The layers' weights must be found, or sizes and operations could not be counted."""
    try:
        sizes(model)
    except GraphError as error:
        raise RuleBroken("not_countable", f"The model's weights cannot be counted: {error}") from error
    except ValueError as error:
        raise RuleBroken("not_finite", f"A layer's weight is NaN or infinite: {error}") from error
