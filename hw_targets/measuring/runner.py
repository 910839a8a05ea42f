"""What a target hands in to be measured: models that answer queries, made anew as often as needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Runner(Protocol):
    """A model on a machine, its inputs laid out beforehand, so that a query costs inference alone.

    A call returns when the answer is there: a machine that answers later is waited for within it.

    Attributes:
        samples: inputs `[n, …]`, in turn.
    """

    samples: np.ndarray

    def one(self, index: int) -> None:
        """Infer sample `index` alone."""
        ...

    def many(self, indexes: Sequence[int]) -> None:
        """Infer the samples `indexes`, at most a batch of them, in one call."""
        ...

    def time_one(self) -> float:
        """Time to infer one sample, in s."""
        ...

    def time_many(self) -> float:
        """Time to infer one batch, in s."""
        ...


class Machine(Protocol):
    """Where models are run, as a target is set; made once in the measuring process."""

    def runner(self, model: Path, samples: np.ndarray, batch: int) -> Runner:
        """A runner of the ONNX file `model`; it lives until it is dropped."""
        ...

    def peak_bytes(self) -> int:
        """Most memory in use so far, in bytes, of this process or of the device."""
        ...

    def energy_pj(self, infer: Callable[[], int]) -> tuple[float | None, str | None]:
        """Energy of one inference of those that `infer` does and counts, in pJ; or None, and the reason."""
        ...


def machine_of(place: str, options: Mapping[str, Any]) -> Machine:
    """The machine at `package.module:Class`, made with `options`."""
    module, _, name = place.partition(":")
    made: Machine = getattr(import_module(module), name)(options)
    return made
