"""From a module to plain ONNX: one opset, constants settled, no trace of the machine it came from.

What a runtime would compute without any input is computed here (`settle`), so that the graph fuses as
torch's own optimised export does. Layers stay as they are: folding batch norm into convolutions would
turn a layer's few shared values into hundreds, and runtimes fold for themselves.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np

from harness.entries.refused import instead_of_exporting
from harness.entries.rules import RuleBroken
from harness.entries.settle import settle_constants
from hw_targets.graph.onnx_graph import run_unoptimised

if TYPE_CHECKING:
    import onnx
    import torch
    from torch import nn

OPSET = 18
TOLERANCE = 0.1  # of the greatest answer: what is rounded may go the other way; a wrong operator is off by more
LEAST_ANSWER = 1e-3


def export_onnx(model: nn.Module, sample: torch.Tensor) -> onnx.ModelProto:
    """Export `model` in evaluation mode, with a free batch dimension.

    Args:
        sample: float32 or int64 `[n, …]`, n ≥ 2: a batch of one would be taken for a constant.

    Raises:
        RuleBroken: `not_exportable`; names the operator and the layer where torch tells them. Also where
            ONNX Runtime does not run what torch wrote.
    """
    import torch

    quiet = io.StringIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            warnings.simplefilter("ignore")
            model = model.eval().to("cpu", torch.float32)
            model = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # not in the stubs
            program = torch.onnx.export(
                model,
                (sample[:2].contiguous(),),
                dynamo=True,
                optimize=False,
                opset_version=OPSET,
                input_names=["input"],
                output_names=["output"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
            assert program is not None
            settle_constants(program.model)
            exported = strip_metadata(program.model_proto)
            _require_same(exported, model, sample[:2].contiguous())
    except Exception as error:
        reason = _reason(error)
        raise RuleBroken(
            "not_exportable",
            f"The model cannot be exported to ONNX: {reason}{instead_of_exporting(reason)}",
            _chain(error),
        ) from error
    return exported


def _require_same(exported: onnx.ModelProto, model: nn.Module, sample: torch.Tensor) -> None:
    """Raises ValueError: the graph's answers are others than the module's. Such as differ from run to run may."""
    import torch

    found = run_unoptimised(exported, ["output"], {"input": sample.numpy()})[0]
    with torch.no_grad():
        runs = [model(sample) for _ in range(2)]
    expected = runs[0].detach().numpy() if isinstance(runs[0], torch.Tensor) and torch.equal(*runs) else None
    if expected is None or not np.isfinite(expected).all() or not expected.size:
        return
    most = TOLERANCE * max(float(abs(expected).max()), LEAST_ANSWER)
    if found.shape != expected.shape or not float(abs(found - expected).max()) <= most:
        raise ValueError("what torch writes computes something else than the module")


def strip_metadata(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove, in place, doc strings and metadata, where exporters leave local paths, and shapes of values between.

    Runtimes find shapes themselves. Told that two tensors have one shape in every batch, ONNX Runtime (1.31)
    fuses transformers' additions and layer norms to an operator that takes three times as long (decision 014).
    """
    del model.graph.value_info[:]
    model.doc_string = ""
    graph = model.graph
    graph.doc_string = ""
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    return model


def _reason(error: BaseException) -> str:
    """The lines of the exporter's chained errors that name an operator, a layer or a line of code."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    root = str(causes[-1]).strip() or type(causes[-1]).__name__
    lines = [line.strip() for line in root.splitlines() if line.strip()]
    where = [
        line.strip()
        for each in causes
        for line in str(each).splitlines()
        if any(
            mark in line
            for mark in ("While executing", "target:", "No ONNX function found", "call_module", "nn_module_stack")
        )
    ]
    return " / ".join(dict.fromkeys([*lines[:3], *where[:3]]))


def _chain(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))[-8000:]
