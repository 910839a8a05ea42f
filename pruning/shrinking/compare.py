"""The proof at the end: both models run, and must agree."""

from __future__ import annotations

import torch
from torch import nn

from pruning.observing import inference

TOLERANCE = 1e-4  # of the largest output: float32 sums in another order


def outputs_of(model: nn.Module, example_inputs: torch.Tensor) -> torch.Tensor:
    """What `model` gives in evaluation mode.

    Raises:
        ValueError: something else than one tensor.
    """
    with inference(model):
        outputs = model(example_inputs)
    if not isinstance(outputs, torch.Tensor):
        raise ValueError(f"The model must give one tensor, not {type(outputs).__name__}.")
    return outputs


def require_same(small: nn.Module, expected: torch.Tensor, example_inputs: torch.Tensor) -> None:
    """Hold the outputs of `small` against those of the masked model.

    Raises:
        ValueError: it does not run, or computes something else.
    """
    try:
        got = outputs_of(small, example_inputs)
    except RuntimeError as error:
        raise ValueError(f"Without the masked units the model no longer runs: {error}") from error
    difference = float((got - expected).abs().max()) if got.shape == expected.shape else float("inf")
    if not difference <= TOLERANCE * float(expected.abs().max()) + 1e-7:
        raise ValueError(
            f"Without the masked units the model computes something else (largest difference {difference:.2g}): "
            "an operator behind them gives more than zero for a zero channel. Leave these layers out."
        )
