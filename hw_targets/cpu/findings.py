"""From the raw results of the measuring process to quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hw_targets.statistics import Estimate, median_interval, quantile, thin
from hw_targets.target import Quantity

SAMPLES_KEPT = 20_000
OTHERS_LIMIT = 0.10  # of all cores, kept busy by other processes
SPREAD_LIMIT = 0.10  # (greatest − least) / median of the rounds' median latencies


@dataclass(frozen=True)
class Timed:
    """The part of a measurement that was timed."""

    quantities: dict[str, Quantity]
    samples: dict[str, list[float]]
    conditions: dict[str, Any]
    noisy: str | None


def timed(result: Mapping[str, Any], device: str) -> Timed:
    """Latency percentiles over all rounds, and speedups as medians over the rounds' ratios.

    A ratio compares the two models in the same round, so that a machine that gets slower slows
    both; its interval is that of a median of as many values as there are rounds.
    """
    rounds = result["rounds"]
    latencies = {name: _by_round(rounds, name, "SingleStream", "latencies_ns") for name in ("entry", "dense")}
    throughput = {
        name: np.array(_by_round(rounds, name, "Offline", "samples_per_s"), float) for name in ("entry", "dense")
    }
    medians = {name: np.array([np.median(each) for each in of]) for name, of in latencies.items()}
    every = {name: np.concatenate([np.asarray(each, float) for each in of]) for name, of in latencies.items()}
    single = f"{device}; MLPerf LoadGen SingleStream, time around the inference in issue_query"
    offline = f"{device}; MLPerf LoadGen Offline"
    quantities = {
        f"latency_p{percent}_ns": _measured(quantile(every["entry"], percent / 100), "ns", single)
        for percent in (50, 90, 99)
    }
    quantities["speedup_vs_dense"] = _measured(
        median_interval(medians["dense"] / medians["entry"]), "×", f"{single}; medians, paired by round"
    )
    quantities["throughput_samples_per_s"] = _measured(median_interval(throughput["entry"]), "1/s", offline)
    quantities["throughput_speedup_vs_dense"] = _measured(
        median_interval(throughput["entry"] / throughput["dense"]), "×", f"{offline}; paired by round"
    )
    spread = {name: float(np.ptp(of) / np.median(of)) for name, of in medians.items()}
    conditions = {
        "rounds": len(medians["entry"]),
        "queries": int(every["entry"].size),
        "latency_samples_kept": min(int(every["entry"].size), SAMPLES_KEPT),
        "load": {
            "other_processes_share_of_cores": result["other_load"],
            "load_average_before": list(result["load_average_before"]),
        },
        "offline_runs_repeated": sum(each.get("repeated", False) for each in rounds),
        "spread_of_round_medians": spread,
        "loadgen_p50_ns": _by_round(rounds, "entry", "SingleStream", "loadgen_p50_ns"),
        "loadgen_p90_ns": _by_round(rounds, "entry", "SingleStream", "loadgen_p90_ns"),
    }
    samples = {
        "latency_ns": thin(every["entry"], SAMPLES_KEPT).tolist(),
        "dense_latency_ns": thin(every["dense"], SAMPLES_KEPT).tolist(),
    }
    return Timed(quantities, samples, conditions, noise(result["other_load"], spread))


def noise(other_load: float, spread: Mapping[str, float]) -> str | None:
    """Why the times should not be trusted much, or None.

    The rule: other processes kept more than 10 % of all cores busy, or the rounds' median
    latencies of a model lie more than 10 % apart (greatest − least, over their median).
    """
    reasons = []
    if other_load > OTHERS_LIMIT:
        reasons.append(f"other processes used {other_load:.0%} of the cores (limit {OTHERS_LIMIT:.0%})")
    for name, value in spread.items():
        if value > SPREAD_LIMIT:
            reasons.append(
                f"median latencies of {name} differ by {value:.0%} between rounds (limit {SPREAD_LIMIT:.0%})"
            )
    return "; ".join(reasons) or None


def _by_round(rounds: Sequence[Mapping[str, Any]], model: str, scenario: str, field: str) -> list[Any]:
    found = [each for each in rounds if each["model"] == model and each["scenario"] == scenario]
    return [each[field] for each in sorted(found, key=lambda each: each["round"])]


def _measured(estimate: Estimate, unit: str, source: str) -> Quantity:
    return Quantity(estimate.value, unit, "measured", source, estimate.low, estimate.high)
