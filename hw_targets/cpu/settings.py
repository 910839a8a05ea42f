"""Options of the CPU target."""

from __future__ import annotations

import os
from dataclasses import dataclass

OPTIMISATIONS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class CpuOptions:
    """How ONNX Runtime runs a model.

    Attributes:
        intra_threads: threads within an operator; 0 means all available cores, and is replaced.
        inter_threads: operators at the same time; more than 1 turns on parallel execution.
        optimisation: of the graph, a key of `OPTIMISATIONS`.

    Raises:
        ValueError: an option out of range.
    """

    intra_threads: int = 0
    inter_threads: int = 1
    optimisation: str = "all"

    def __post_init__(self) -> None:
        for name, least in (("intra_threads", 0), ("inter_threads", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"cpu option {name} must be an integer of at least {least}, not {value!r}.")
        if not isinstance(self.optimisation, str) or self.optimisation not in OPTIMISATIONS:
            raise ValueError(
                f"cpu option optimisation must be one of {list(OPTIMISATIONS)}, not {self.optimisation!r}."
            )
        if self.intra_threads == 0:
            object.__setattr__(self, "intra_threads", available_cores())
