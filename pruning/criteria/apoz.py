"""Channels that are mostly zero behind their ReLU matter least: the average percentage of zeros.

Hu et al. 2016, "Network Trimming", arXiv 1607.03250. APoZ is the share of zeros among all values
of a channel's activation, over samples and positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import torch
from torch import nn

from pruning.criteria.batches import Batches, evaluating, hooked, read
from pruning.criteria.behind import behind
from pruning.criteria.layout import by_unit, for_inputs, for_outputs, layer_name, layer_of, ungrouped_layer_of

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class APoZ:
    """1 - APoZ of each unit, in 0…1; needs data.

    Of a filter, the zeros are those of the ReLU behind it, a module or a function, behind the layer or
    behind its batch norm; `behind` finds it. They are counted where it reads: it gives zero for whatever
    is not above zero. Of an input channel, they are those of the layer's input.

    Attributes:
        unit: "filter" scores `[c_o, 1, …]`, "channel" `[1, c_i, 1, …]`.
        max_batches: look at no more than these.
        p: inf, so that a unit's score is 1 - APoZ whatever its size.

    Raises:
        ValueError: `unit` is neither; there is no data; no ReLU comes right behind a layer, or a layer's
            input has no zeros of a ReLU since some are negative (the message names it).
    """

    unit: Literal["filter", "channel"] = "filter"
    max_batches: int | None = None
    p: float = float("inf")

    def __post_init__(self) -> None:
        if self.unit not in ("filter", "channel"):
            raise ValueError(f"unit of APoZ is filter or channel, not {self.unit!r}: a weight has no activation.")

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        batches = read(data, model, type(self).__name__, self.max_batches)
        if self.unit == "channel":
            return _of_inputs(model, names, batches)
        return _of_outputs(model, names, batches)


def _of_outputs(model: nn.Module, names: Sequence[str], batches: Iterator[Batch]) -> dict[str, torch.Tensor]:
    layers = {name: layer_of(model, name) for name in names}
    first = next(batches)
    found = behind(model, names, first[0][:2])
    for name in names:
        if not found[name].rectified:
            raise ValueError(
                f"No ReLU comes right behind {layer_name(name)} (or its batch norm) as the one reader of its "
                "output, so it has no zeros to count. Leave it out: name the others in layers=."
            )
    judged = {model.get_submodule(found[name].norm or layer_name(name)): name for name in names}
    counts = {name: _Count(layers[name].weight.shape[0]) for name in names}

    def count(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        counts[judged[module]].add(by_unit(layers[judged[module]], output))

    _run(model, chain([first], batches), judged, count)
    return {name: for_outputs(counts[name].share(), layers[name]) for name in names}


def _of_inputs(model: nn.Module, names: Sequence[str], batches: Iterator[Batch]) -> dict[str, torch.Tensor]:
    judged = {ungrouped_layer_of(model, name, "APoZ"): name for name in names}
    counts = {name: _Count(layer.weight.shape[1]) for layer, name in judged.items()}

    def count(module: Any, inputs: tuple[torch.Tensor, ...], _: Any) -> None:
        name = judged[module]
        if bool((inputs[0] < 0).any()):
            raise ValueError(
                f"What {layer_name(name)} reads has negative values, so it comes from no ReLU and its zeros tell "
                "nothing. Leave it out: name the others in layers=."
            )
        counts[name].add(by_unit(module, inputs[0]))

    _run(model, batches, judged, count)
    return {name: for_inputs(counts[name].share(), layer) for layer, name in judged.items()}


def _run(model: nn.Module, batches: Iterable[Batch], judged: Iterable[nn.Module], count: Callable[..., None]) -> None:
    with evaluating(model), torch.no_grad(), hooked(judged, count):
        for inputs, _ in batches:
            model(inputs)


class _Count:
    """How many values there were of each unit, and how many above zero."""

    def __init__(self, units: int) -> None:
        self.active, self.values = torch.zeros(units, dtype=torch.int64), 0

    def add(self, of_unit: torch.Tensor) -> None:
        """Take in values `[units, n]`."""
        self.active += (of_unit > 0).sum(1).cpu()
        self.values += of_unit.shape[1]

    def share(self) -> torch.Tensor:
        """1 - APoZ, float64 `[units]`."""
        return self.active.double() / max(self.values, 1)
