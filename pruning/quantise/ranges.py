"""Which range the values between layers take, seen on sample data: calibration.

The whole range loses no value but spends its 256 steps on the rarest ones; cutting the tails buys
finer steps for all others (both in Krishnamoorthi 2018, arXiv 1806.08342, and Nagel et al. 2021,
arXiv 2106.08295, as the usual first choices).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from pruning.criteria.batches import Batches, device_of
from pruning.observing import inference

Range = tuple[float, float]


class Calibration(Protocol):
    """A rule that turns the values of a tensor into a range."""

    def of_batch(self, values: torch.Tensor) -> Range:
        """Least and greatest value to represent of one batch, a float tensor of any shape."""
        ...

    def together(self, ranges: Sequence[Range]) -> Range:
        """One range for all batches."""
        ...


@dataclass(frozen=True)
class MinMax:
    """A range of activations from the least to the greatest value that was seen."""

    def of_batch(self, values: torch.Tensor) -> Range:
        return float(values.min()), float(values.max())

    def together(self, ranges: Sequence[Range]) -> Range:
        return min(low for low, _ in ranges), max(high for _, high in ranges)


@dataclass(frozen=True)
class Percentile:
    """A range without its outer tails: from the (100 − percent)-th to the percent-th percentile, the mean over batches.

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


class Watch(nn.Module):
    """Hands on what passes it and remembers its range, in the place where it will be rounded.

    Args:
        values: what passes, for messages.
    """

    def __init__(self, values: str) -> None:
        super().__init__()
        self.values = values
        self.calibration: Calibration | None = None
        self.now: list[Range] = []
        self.batches: list[Range] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.calibration is not None:
            self.now.append(self.calibration.of_batch(x.detach().float()))
        return x.clone()  # as a rounded value would be: no other name of this tensor

    def end_batch(self) -> None:
        """What passed since the last call are values of one batch, which share a grid."""
        if self.now:
            lows, highs = zip(*self.now, strict=True)
            self.batches.append((min(lows), max(highs)))
            self.now = []


def pairs(data: Batches) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches of `data`, each looked at as it comes.

    Raises:
        ValueError: one is no pair of inputs and labels, its inputs are no tensor, or it is empty.
    """
    batch: object
    for number, batch in enumerate(data):
        what = f"Calibration takes batches of (inputs, labels), the inputs a tensor [n, …]; batch {number} is"
        if not isinstance(batch, Sequence) or len(batch) != 2:
            raise ValueError(f"{what} {_described(batch)}.")
        inputs, labels = batch
        if not isinstance(inputs, torch.Tensor):
            raise ValueError(f"{what} a pair whose inputs are {_described(inputs)}.")
        if inputs.ndim == 0 or not len(inputs):
            raise ValueError(f"{what} empty.")
        yield inputs, labels


def _described(value: object) -> str:
    kind = f"of type {type(value).__name__}"
    return f"{kind} with {len(value)} elements" if isinstance(value, (tuple, list)) else kind


def calibrate(model: nn.Module, data: Batches, calibration: Calibration) -> dict[str, Range]:
    """Name of each `Watch` in `model` → the range of what passed it, in one pass over `data` in evaluation mode.

    Those that nothing passed are left out. The model is as it was afterwards, and so are the random numbers.

    Args:
        data: batches of `(inputs, labels)`; the labels are not looked at.

    Raises:
        ValueError: a range is not finite, or see `pairs`.
    """
    watches = {name: module for name, module in model.named_modules() if isinstance(module, Watch)}
    for watch in watches.values():
        watch.calibration = calibration
    with inference(model):
        for inputs, _ in pairs(data):
            model(inputs.to(device_of(model)))
            for watch in watches.values():
                watch.end_batch()
    ranges = {name: calibration.together(watch.batches) for name, watch in watches.items() if watch.batches}
    for name, (low, high) in ranges.items():
        if not -torch.inf < low <= high < torch.inf:
            raise ValueError(f"The {watches[name].values} range from {low} to {high}: they must be finite.")
    return ranges
