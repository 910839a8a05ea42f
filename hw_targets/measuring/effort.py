"""How long a measurement takes, by the effort that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hw_targets.target import Effort

Scenario = Literal["SingleStream", "Offline"]


@dataclass(frozen=True)
class Settings:
    """How long a measurement takes.

    Each scenario is run by LoadGen again and again, until the ratio of the two models is known well
    enough or the time is up. Times are those of both models together.

    Attributes:
        turn_ms: a model's turn, at least, milliseconds.
        segment_ms: how long a pair of sessions is used before both are made anew, at least, milliseconds.
        segments: fewest segments for a result that is good enough.
        precision: relative half width of the ratio's interval that is good enough.
        single_stream_ms: LoadGen's least duration of one SingleStream run, milliseconds.
        single_stream_queries: LoadGen's least number of queries of one SingleStream run.
        offline_ms: LoadGen's least duration of one Offline run, milliseconds.
        offline_samples: LoadGen's least number of samples of one Offline run.
        offline_batch: samples in one call of the runtime in Offline.
        model_s: that each model has turns in each scenario, at least, all runs together, seconds.
        model_samples: that each model is asked for in each scenario, at least, all runs together.
        limit_s: of a scenario, after which no further run is begun, seconds.
        energy_s: how long the energy counters are watched, seconds.
        timeout_s: after which the measuring process is ended, seconds.
    """

    turn_ms: float
    segment_ms: float
    segments: int
    precision: float
    single_stream_ms: int
    single_stream_queries: int
    offline_ms: int
    offline_samples: int
    offline_batch: int
    model_s: float
    model_samples: int
    limit_s: float
    energy_s: float
    timeout_s: float


# 64 queries are the fewest for which LoadGen estimates a 90th percentile ("early stopping").
# `official` has the minima of MLPerf Inference for each of the two models: 600 s, and 24576 samples
# (inference_policies, inference_rules.adoc; loadgen/mlperf.conf), with some to spare; about 45 minutes.
SETTINGS: dict[Effort, Settings] = {
    "quick": Settings(10, 250, 8, 0.02, 2_800, 64, 2_200, 1, 32, 0, 0, 15, 1.0, 300),
    "standard": Settings(10, 1_000, 10, 0.01, 16_000, 64, 10_000, 1, 32, 0, 0, 120, 5.0, 1_800),
    "official": Settings(
        10, 30_000, 10, 0.005, 1_300_000, 49_152, 1_300_000, 49_152, 32, 600, 24_576, 3_600, 60.0, 4 * 3_600
    ),
}
