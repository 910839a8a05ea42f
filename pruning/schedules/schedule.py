"""What a schedule is: when weights are pruned, and what follows from that for the other choices."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from pruning.mask import Mask
from pruning.masking import MaskAt

COMMON = ("model", "mask_at", "sparsity", "train", "epochs", "learning_rate")  # arguments of every schedule


@dataclass(frozen=True)
class Schedule:
    """A schedule by its function, `(model, mask_at, *, sparsity, train, epochs, learning_rate, …) → (model, mask)`.

    Attributes:
        several: it prunes to several sparsities on the way, or by a mask that changes.
        trains: it prunes while it trains, so it needs a training.
        single_weights: it moves single weights, so no coarser granularity lasts.
        takes_fresh: it asks for a freshly initialised model, as `initial`, and trains that itself.
    """

    function: Callable[..., tuple[nn.Module, Mask]]
    several: bool = False
    trains: bool = False
    single_weights: bool = False
    takes_fresh: bool = False

    def __call__(self, model: nn.Module, mask_at: MaskAt, **arguments: Any) -> tuple[nn.Module, Mask]:
        return self.function(model, mask_at, **arguments)

    @cached_property
    def options(self) -> tuple[str, ...]:
        """Its own arguments, beside those that all schedules have."""
        return tuple(name for name in inspect.signature(self.function).parameters if name not in COMMON)
