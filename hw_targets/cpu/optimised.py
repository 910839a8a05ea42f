"""What ONNX Runtime makes of a graph before it runs it: which layers multiply integers, and which floats.

The file alone does not tell. A layer between `DequantizeLinear` and `QuantizeLinear` becomes one
integer operator only where the runtime has one for it, and finds it as it expects it; else it widens
weights and activations, and multiplies floats.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import onnx
import onnxruntime

from hw_targets.cpu.runner import session_options
from hw_targets.cpu.settings import CpuOptions
from hw_targets.graph.onnx_graph import Graph, compute_nodes
from hw_targets.graph.trace import LayerTrace
from hw_targets.target import Quantity

Arithmetic = Literal["int8", "float32"]

# ONNX Runtime's operators that multiply 8-bit integers into sums of 32 bits.
INTEGER_OPERATORS = frozenset(
    {"QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QGemm"}
    | {"DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention"}
)


def optimised(model: onnx.ModelProto, options: CpuOptions) -> onnx.ModelProto:
    """The graph that ONNX Runtime runs for `model`; its operators need not be standard ones.

    Raises:
        Exception: of ONNX Runtime's own, where it refuses the model.
    """
    with tempfile.TemporaryDirectory(prefix="openprune-optimised-") as folder:
        file = Path(folder) / "model.onnx"
        of = session_options(options)
        of.optimized_model_filepath = str(file)
        onnxruntime.InferenceSession(model.SerializeToString(), of, providers=["CPUExecutionProvider"])
        return onnx.load(file)


def arithmetic(model: onnx.ModelProto, options: CpuOptions) -> dict[str, Arithmetic]:
    """Layer → what the runtime multiplies in it, for every layer of `model`.

    A layer is known in the optimised graph by what it stores: its integers and their scale, one of
    which at least keeps its name. What is not found again counts as floats.

    Raises:
        GraphError: a layer is not understood.
    """
    nodes = optimised(model, options).graph.node
    used = {name for node in nodes if node.op_type in INTEGER_OPERATORS for name in node.input}
    stored = Graph(model).stored
    found: dict[str, Arithmetic] = {}
    for compute in compute_nodes(model):
        weight = compute.weight
        # Zero points are no mark: all zeros, several layers may share them.
        own = [] if weight is None else [weight.roots[0], *filter(lambda name: _is_float(stored[name]), weight.roots)]
        found[compute.name] = "int8" if used.intersection(own) else "float32"
    return found


def _is_float(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type == onnx.TensorProto.FLOAT


def integer_share(layers: Sequence[LayerTrace], how: Mapping[str, Arithmetic]) -> Quantity:
    """Multiply–accumulates in layers that multiply integers, against those of all layers."""
    total = sum(layer.macs_dense for layer in layers)
    integers = sum(layer.macs_dense for layer in layers if how[layer.name] == "int8")
    source = f"integer operators in the graph that ONNX Runtime {onnxruntime.__version__} runs, after its optimisation"
    return Quantity(integers / total if total else 0.0, "1", "measured", source)


def with_arithmetic(rows: Sequence[Mapping[str, Any]], how: Mapping[str, Arithmetic]) -> tuple[dict[str, Any], ...]:
    """Rows of layers, each with a column `arithmetic`; rows of what is no layer as they are."""
    return tuple({**row, "arithmetic": how[row["name"]]} if row["name"] in how else dict(row) for row in rows)
