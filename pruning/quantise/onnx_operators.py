"""ONNX operators written by name, where torch has none that the exporter would turn into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def onnx_operator(
    name: str,
    inputs: tuple[torch.Tensor, ...],
    dtype: torch.dtype,
    attributes: dict[str, Any] | None = None,
    *,
    shape: Sequence[int | torch.SymInt] | None = None,
) -> torch.Tensor:
    """One ONNX operator, which the exporter writes as it is; only while a model is exported.

    Args:
        shape: of the result; by default that of the first input.
    """
    return torch.onnx.ops.symbolic(
        name, inputs, attributes, dtype=dtype, shape=inputs[0].shape if shape is None else shape
    )
