"""From what the measuring process found to quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hw_targets.measuring.child import Outcome
from hw_targets.measuring.effort import Scenario
from hw_targets.measuring.pairs import DENSE, ENTRY, in_blocks, pair_ratios, speedup, time_of_sample_ns
from hw_targets.measuring.statistics import Estimate, block_mean, block_quantile, thin
from hw_targets.measuring.turns import Turn
from hw_targets.target import Quantity

LATENCIES_KEPT, PAIRS_KEPT = 6_000, 1_000
OTHERS_LIMIT = 0.10  # of all cores, kept busy by other processes
SPREAD_LIMIT = 0.10  # (greatest − least) / median of the blocks' median latencies
PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Timed:
    """The part of a measurement that was timed."""

    quantities: dict[str, Quantity]
    absent: dict[str, str]
    samples: dict[str, list[float]]
    conditions: dict[str, Any]
    noisy: str | None


@dataclass(frozen=True)
class Asked:
    """All that counts of one scenario.

    Attributes:
        turns: of all runs that LoadGen called VALID, in time.
        look: at which look the data were found to suffice, or None where the time was up.
        absent: why there is nothing, or None.
        other_load: share of all cores that other processes kept busy meanwhile, or None if unknown.
        runs: what LoadGen says of each run, and what was asked.
    """

    turns: list[Turn]
    look: int | None
    absent: str | None
    other_load: float | None
    runs: list[dict[str, Any]]


def timed(outcome: Outcome, device: str, precision: float) -> Timed:
    """Latency percentiles, throughput, and how they compare with the dense model's.

    A ratio compares turns that follow each other, so that a machine that gets slower slows both
    (`hw_targets.measuring.pairs`). The interval of a latency is the wider of what the number of queries
    and what the differences in time allow (`hw_targets.measuring.statistics.block_quantile`).

    Args:
        precision: relative half width of a ratio's interval that was wanted.
    """
    single, offline = (_asked(outcome, scenario) for scenario in ("SingleStream", "Offline"))
    quantities, absent = _latency(single, device)
    throughput, no_throughput = _throughput(offline, device)
    spread = {model: _spread(single.turns, model) for model in (ENTRY, DENSE)} if single.turns else {}
    loads = [each.other_load for each in (single, offline) if each.other_load is not None]
    widths = {
        name: _half_width(quantity)
        for name, quantity in {**quantities, **throughput}.items()
        if name.endswith("speedup_vs_dense")
    }
    conditions = {
        "turns": {"single_stream": len(single.turns), "offline": len(offline.turns)},
        "segments": {"single_stream": _segments(single.turns), "offline": _segments(offline.turns)},
        "queries": sum(len(turn.times_ns) for turn in single.turns if turn.model == ENTRY),
        "spread_of_block_medians": spread,
        "load": {
            "other_processes_share_of_cores": max(loads, default=None),
            "load_average_before": outcome.value("load_average_before"),
        },
        "loadgen": {"single_stream": single.runs, "offline": offline.runs},
        "loadgen_figures_are_of": "all queries of a run: both models', and each turn's first, which is not counted",
    }
    samples, kept = _samples(single.turns)
    return Timed(
        {**quantities, **throughput},
        {**absent, **no_throughput},
        samples,
        {**conditions, **kept},
        noise(max(loads, default=0.0), spread, widths, precision),
    )


def noise(other_load: float, spread: Mapping[str, float], widths: Mapping[str, float], precision: float) -> str | None:
    """Why the times should not be trusted much, or None.

    The rule: other processes kept more than 10 % of all cores busy; or the median latencies of a
    model in blocks of time lie more than 10 % apart (greatest − least, over their median); or a
    ratio is still known less well than was wanted when the time is up.
    """
    reasons = []
    if other_load > OTHERS_LIMIT:
        reasons.append(f"other processes used {other_load:.0%} of the cores (limit {OTHERS_LIMIT:.0%})")
    for name, value in spread.items():
        if value > SPREAD_LIMIT:
            reasons.append(f"median latencies of {name} differ by {value:.0%} over time (limit {SPREAD_LIMIT:.0%})")
    for name, value in widths.items():
        if value > precision:
            known = f"to ±{value:.1%}" if np.isfinite(value) else "without an interval"
            reasons.append(f"{name} is known {known} after the time there was (wanted ±{precision:.1%})")
    return "; ".join(reasons) or None


def _latency(asked: Asked, device: str) -> tuple[dict[str, Quantity], dict[str, str]]:
    names = [f"latency_p{percent}_ns" for percent in PERCENTILES]
    if not asked.turns:
        return {}, _absent([*names, "speedup_vs_dense"], asked)
    source = f"{device}; MLPerf LoadGen SingleStream, time around the inference in issue_query"
    blocks = _blocks(asked.turns, ENTRY)
    found = {
        name: _measured(block_quantile(blocks, percent / 100), "ns", f"{source}, the first query of each turn left out")
        for name, percent in zip(names, PERCENTILES, strict=True)
    }
    found["speedup_vs_dense"] = _measured(
        speedup(asked.turns, asked.look),
        "×",
        f"{source}; robust mean over pairs of turns of the ratio of their medians",
    )
    return found, {}


def _throughput(asked: Asked, device: str) -> tuple[dict[str, Quantity], dict[str, str]]:
    if not asked.turns:
        return {}, _absent(["throughput_samples_per_s", "throughput_speedup_vs_dense"], asked)
    source = f"{device}; MLPerf LoadGen Offline, our clock around each batch, the median batch of each turn"
    own = [turn for turn in asked.turns if turn.model == ENTRY]
    rates = [np.array([1e9 / time_of_sample_ns(turn)]) for turn in own]
    blocks = in_blocks(rates, np.array([turn.segment for turn in own]))
    return {
        "throughput_samples_per_s": _measured(block_mean([float(np.median(each)) for each in blocks]), "1/s", source),
        "throughput_speedup_vs_dense": _measured(
            speedup(asked.turns, asked.look), "×", f"{source}; robust mean over pairs of turns"
        ),
    }, {}


def _absent(names: Sequence[str], asked: Asked) -> dict[str, str]:
    return dict.fromkeys(names, asked.absent or "nothing was found")


def _asked(outcome: Outcome, scenario: Scenario) -> Asked:
    of = [each for each in outcome.found if each.get("scenario") == scenario]
    runs = [each["run"] for each in of if "run" in each]
    turns = [Turn(**turn) for run in runs for turn in run["turns"]]
    reasons = [each["absent"] for each in of if "absent" in each]
    return Asked(
        turns,
        next((each["enough_at_look"] for each in of if each.get("enough_at_look")), None),
        None if turns else next(iter(reasons), outcome.unfinished),
        of[-1]["other_load"] if of else None,
        [{name: run[name] for name in ("loadgen", "p50_ns", "asked", "queries", "seconds")} for run in runs],
    )


def _blocks(turns: Sequence[Turn], model: str) -> list[np.ndarray]:
    """The latencies of `model` in ns, by block of time."""
    own = [turn for turn in turns if turn.model == model]
    return in_blocks([np.array(turn.times_ns, float) for turn in own], np.array([turn.segment for turn in own]))


def _spread(turns: Sequence[Turn], model: str) -> float:
    medians = [np.median(block) for block in _blocks(turns, model)]
    return float(np.ptp(medians) / np.median(medians))


def _samples(turns: Sequence[Turn]) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Latencies and ratios in order of time, thinned, and how many of them are of each block."""
    samples: dict[str, list[float]] = {}
    kept: dict[str, list[int]] = {}
    if turns:
        for name, model in (("latency_ns", ENTRY), ("dense_latency_ns", DENSE)):
            blocks = _blocks(turns, model)
            thinned = [thin(block, LATENCIES_KEPT // len(blocks)) for block in blocks]
            samples[name], kept[name] = np.concatenate(thinned).tolist(), [block.size for block in thinned]
        blocks = in_blocks(*pair_ratios(turns))
        thinned = [thin(block, PAIRS_KEPT // len(blocks)) for block in blocks]
        samples["speedup_pairs"] = np.concatenate(thinned).round(6).tolist()
        kept["speedup_pairs"] = [block.size for block in thinned]
    return samples, {"samples_by_block": kept}


def _segments(turns: Sequence[Turn]) -> int:
    return len({turn.segment for turn in turns})


def _half_width(quantity: Quantity) -> float:
    return Estimate(quantity.value, quantity.low, quantity.high).half_width()


def _measured(estimate: Estimate, unit: str, source: str) -> Quantity:
    return Quantity(estimate.value, unit, "measured", source, estimate.low, estimate.high)
