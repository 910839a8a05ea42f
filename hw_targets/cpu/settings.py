"""Options of the CPU target, and how long it measures."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hw_targets.target import Effort

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
        if self.optimisation not in OPTIMISATIONS:
            raise ValueError(
                f"cpu option optimisation must be one of {list(OPTIMISATIONS)}, not {self.optimisation!r}."
            )
        if self.intra_threads == 0:
            object.__setattr__(self, "intra_threads", available_cores())


@dataclass(frozen=True)
class Settings:
    """How long a measurement takes. A round runs each scenario once on each of the two models.

    Attributes:
        rounds: even, so that each model goes first as often; a confidence interval needs six.
        warmup_s: per model, before the first round, seconds.
        single_stream_ms: LoadGen's least duration of one SingleStream run, milliseconds.
        single_stream_queries: LoadGen's least number of queries of one SingleStream run.
        offline_ms: LoadGen's least duration of one Offline run, milliseconds.
        offline_samples: LoadGen's least number of samples of one Offline run.
        offline_batch: samples in one call of the runtime in Offline.
        energy_s: how long the energy counters are watched, seconds.
        timeout_s: after which the measuring process is ended, seconds.
    """

    rounds: int
    warmup_s: float
    single_stream_ms: int
    single_stream_queries: int
    offline_ms: int
    offline_samples: int
    offline_batch: int
    energy_s: float
    timeout_s: float


# 64 queries are the fewest for which LoadGen estimates a 90th percentile ("early stopping").
# `official` has the minima of MLPerf Inference: 600 s, and 24576 samples in Offline
# (inference_policies, inference_rules.adoc; loadgen/mlperf.conf); two rounds, about 80 minutes.
SETTINGS: dict[Effort, Settings] = {
    "quick": Settings(6, 0.2, 250, 64, 200, 1, 32, 1.0, 300),
    "standard": Settings(10, 1.0, 4_000, 64, 2_000, 1, 32, 5.0, 1_800),
    "official": Settings(2, 5.0, 600_000, 24_576, 600_000, 24_576, 32, 60.0, 4 * 3_600),
}
