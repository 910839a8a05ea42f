"""Which range of values a layer's input takes, seen on sample data: calibration.

The whole range loses no value but spends its 256 steps on the rarest ones; cutting the tails buys
finer steps for all others (both in Krishnamoorthi 2018, arXiv 1806.08342, and Nagel et al. 2021,
arXiv 2106.08295, as the usual first choices).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import nn

from pruning.criteria.batches import Batches
from pruning.observing import inference

Range = tuple[float, float]


class Calibration(Protocol):
    """A rule that turns the values of a layer's inputs into a range."""

    def of_batch(self, values: torch.Tensor) -> Range:
        """Least and greatest value to represent of one batch, a float tensor of any shape."""
        ...

    def together(self, ranges: Sequence[Range]) -> Range:
        """One range for all batches."""
        ...


@dataclass(frozen=True)
class MinMax:
    """From the least to the greatest value that was seen."""

    def of_batch(self, values: torch.Tensor) -> Range:
        return float(values.min()), float(values.max())

    def together(self, ranges: Sequence[Range]) -> Range:
        return min(low for low, _ in ranges), max(high for _, high in ranges)


@dataclass(frozen=True)
class Percentile:
    """Without the outer tails: from the (100 − percent)-th to the percent-th percentile, the mean over batches.

    Attributes:
        percent: above 50, at most 100.
    """

    percent: float = 99.9

    def __post_init__(self) -> None:
        if not 50 < self.percent <= 100:
            raise ValueError(f"A range ends at a percentile above 50 and up to 100, not {self.percent}.")

    def of_batch(self, values: torch.Tensor) -> Range:
        flat = values.flatten()
        cut = round((1 - self.percent / 100) * (flat.numel() - 1))
        return float(flat.kthvalue(1 + cut).values), float(flat.kthvalue(flat.numel() - cut).values)

    def together(self, ranges: Sequence[Range]) -> Range:
        lows, highs = zip(*ranges, strict=True)
        return sum(lows) / len(lows), sum(highs) / len(highs)


def input_ranges(model: nn.Module, layers: Sequence[str], data: Batches, calibration: Calibration) -> dict[str, Range]:
    """Layer name → range of its inputs, from one pass over `data` in evaluation mode.

    The model is as it was afterwards, and so are the random numbers.

    Args:
        data: batches of `(inputs, labels)`; the labels are not looked at.

    Raises:
        ValueError: there is no batch, a layer was never called, or a range is not finite.
    """
    seen: dict[str, list[Range]] = {name: [] for name in layers}

    def record(name: str, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen[name].append(calibration.of_batch(inputs[0].detach().float()))

    hooks = [model.get_submodule(name).register_forward_pre_hook(partial(record, name)) for name in layers]
    device = next(model.parameters()).device
    batches = 0
    try:
        with inference(model):
            for inputs, _ in data:
                model(inputs.to(device))
                batches += 1
    finally:
        for hook in hooks:
            hook.remove()
    if not batches:
        raise ValueError("Calibration needs at least one batch of (inputs, labels); the data has none.")
    for name in layers:
        if not seen[name]:
            raise ValueError(f"Layer {name} was not called by the model, so its inputs have no range. Leave it out.")
    ranges = {name: calibration.together(seen[name]) for name in layers}
    for name, (low, high) in ranges.items():
        if not -torch.inf < low <= high < torch.inf:
            raise ValueError(f"The inputs of layer {name} range from {low} to {high}: they must be finite.")
    return ranges
