"""The data that criteria look at: read once, a batch at a time, so that a generator serves as well as a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import torch
from torch import nn

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


def read(
    data: Batches | None, model: nn.Module, reader: str, max_batches: int | None = None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The first `max_batches` of `data` (default all), on the device of `model`.

    Args:
        reader: who reads them, for the messages.

    Raises:
        ValueError: there is no data, or no batch in it, or `max_batches` is below 1; raised at once.
    """
    if data is None:
        raise ValueError(f"{reader} looks at data, and there is none. Give batches of (inputs, labels) as data=.")
    if max_batches is not None and max_batches < 1:
        raise ValueError(f"max_batches of {reader} must be 1 or more, or None for all, not {max_batches}.")
    batches = islice(iter(data), max_batches)
    first = next(batches, None)
    if first is None:
        raise ValueError(f"{reader} looks at data, but there is not one batch in it. Was a generator used up before?")
    device = device_of(model)
    return ((inputs.to(device), labels.to(device)) for inputs, labels in chain([first], batches))


def device_of(model: nn.Module) -> torch.device:
    """The device of the first parameter; the CPU for a model without any."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
