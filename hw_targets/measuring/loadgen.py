"""MLPerf LoadGen asks, two models answer in turns: SingleStream for latency, Offline for throughput.

LoadGen (`mlcommons-loadgen`) decides which sample is asked for and when, and whether the run counts.
To it there is one system; which of the models answers is decided behind it (`hw_targets.measuring.turns`).
What counts for a model are the times around the inference inside `issue_query`, taken with the
monotonic clock. LoadGen's own figures are kept beside them and mean something else: its percentiles
are those of *all* queries, of both models and the uncounted first ones of each turn too, with its call
into Python; its samples per second are those of both models together, and of the time in which
sessions were made anew. `Run.p50_ns` is our median of just the queries that LoadGen's is of, so that
the two clocks can be held against each other. (LoadGen gives single latencies away only in its trace,
which costs a second thread and 650 bytes a query. It keeps one test a process, in globals.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlperf_loadgen as lg
import numpy as np

from hw_targets.measuring.effort import Scenario
from hw_targets.measuring.turns import Asked, Turn, Turns

# The current seeds of MLPerf Inference (loadgen/mlperf.conf).
QSL_SEED, SAMPLE_INDEX_SEED, SCHEDULE_SEED = 2085463073848966840, 2747215439041700203, 16159082839903944936


class NoVerdictError(Exception):
    """LoadGen left no verdict on a run."""


@dataclass(frozen=True)
class Run:
    """What one run of LoadGen found.

    Attributes:
        turns: of all pairs that were finished.
        invalid: why LoadGen's verdict is not VALID, or None where it is.
        asked: samples that each model was asked for, and for how long.
        queries: samples that LoadGen asked for.
        seconds: that it took to answer them all.
        p50_ns: our median of all queries in SingleStream, counted or not; None in Offline.
        loadgen: LoadGen's own figures of all it asked, from its summary.
    """

    turns: list[Turn]
    invalid: str | None
    asked: dict[str, Asked]
    queries: int
    seconds: float
    p50_ns: float | None
    loadgen: dict[str, float]


def run_single_stream(
    turns: Turns, samples: int, *, least_s: float, least_queries: int, expected_s: float, logs: Path
) -> Run:
    """One query of one sample after the other.

    Args:
        samples: how many there are to ask for.
        expected_s: time of one query; LoadGen lays out as many as fill twice `least_s` at this
            pace, so it must not be far above the truth, or the run is too short.
        logs: folder for LoadGen's summary and detail.
    """
    settings = _settings("SingleStream", least_s, least_queries)
    settings.single_stream_expected_latency_ns = max(int(expected_s * 1e9), 1)
    settings.single_stream_target_latency_percentile = 0.9
    times: list[int] = []
    failures: list[Exception] = []
    clock, response, complete = time.perf_counter_ns, lg.QuerySampleResponse, lg.QuerySamplesComplete

    def issue(ids: list[int], indexes: list[int]) -> None:
        start = clock()
        if not failures:
            try:
                turns.runner.one(indexes[0])
            except Exception as error:  # noqa: BLE001 - must not cross LoadGen's C++; raised after the run
                failures.append(error)
        end = clock()
        complete([response(ids[0], 0, 0)])
        times.append(end - start)
        if not failures:
            try:
                turns.answered(start, end, 1)  # may make sessions anew, between LoadGen's queries
            except Exception as error:  # noqa: BLE001 - as above
                failures.append(error)

    summary, seconds = _start(issue, turns, samples, settings, logs, failures)
    own = {f"p{percent}_ns": _number(summary, f"{percent}.00 percentile latency (ns)") for percent in (50, 90, 99)}
    return Run(turns.finished(), _invalid(summary), turns.asked(), len(times), seconds, float(np.median(times)), own)


def run_offline(
    turns: Turns, samples: int, *, batch: int, least_s: float, least_samples: int, expected_per_s: float, logs: Path
) -> Run:
    """All samples at once, answered in batches; the first piece of a turn is a single sample.

    Args:
        samples: how many there are to ask for.
        batch: samples in one call of the runtime.
        expected_per_s: samples per second; must not be below the truth, or the run is too short.
        logs: folder for LoadGen's summary and detail.
    """
    settings = _settings("Offline", least_s, least_samples)
    settings.offline_expected_qps = expected_per_s
    failures: list[Exception] = []
    asked: list[int] = []
    clock = time.perf_counter_ns

    def issue(ids: list[int], indexes: list[int]) -> None:
        begin = 0
        asked.append(len(ids))
        while begin < len(ids):
            end = begin + (1 if turns.first_in_turn else batch)
            try:
                if not failures:
                    start, taken = clock(), indexes[begin:end]
                    turns.runner.many(taken)
                    if turns.first_in_turn or len(taken) == batch:  # a run's last batch may be smaller
                        turns.answered(start, clock(), len(taken))
            except Exception as error:  # noqa: BLE001 - must not cross LoadGen's C++; raised after the run
                failures.append(error)
            lg.QuerySamplesComplete([lg.QuerySampleResponse(i, 0, 0) for i in ids[begin:end]])
            begin = end

    summary, seconds = _start(issue, turns, samples, settings, logs, failures)
    own = {"samples_per_s": _number(summary, "Samples per second")}
    return Run(turns.finished(), _invalid(summary), turns.asked(), sum(asked), seconds, None, own)


def _settings(scenario: Scenario, least_s: float, least_queries: int) -> lg.TestSettings:
    settings = lg.TestSettings()
    settings.scenario = getattr(lg.TestScenario, scenario)
    settings.mode = lg.TestMode.PerformanceOnly
    settings.min_duration_ms = round(least_s * 1e3)
    settings.min_query_count = least_queries
    settings.qsl_rng_seed, settings.sample_index_rng_seed = QSL_SEED, SAMPLE_INDEX_SEED
    settings.schedule_rng_seed = SCHEDULE_SEED
    return settings


def _start(
    issue: Callable[[list[int], list[int]], None],
    turns: Turns,
    samples: int,
    settings: lg.TestSettings,
    logs: Path,
    failures: list[Exception],
) -> tuple[dict[str, str], float]:
    """Run LoadGen; returns its summary by label, and how long it took in s."""
    logs.mkdir(parents=True, exist_ok=True)
    log_settings = lg.LogSettings()
    log_settings.log_output.outdir = str(logs)
    log_settings.log_output.copy_summary_to_stdout = False
    log_settings.enable_trace = False
    turns.start()
    system = lg.ConstructFastSUT(issue, lambda: None)
    library = lg.ConstructQSL(samples, samples, lambda _: None, lambda _: None)
    begin = time.perf_counter()
    try:
        lg.StartTestWithLogSettings(system, library, settings, log_settings, "")
    finally:
        seconds = time.perf_counter() - begin
        lg.DestroyQSL(library)
        lg.DestroyFastSUT(system)
    for unused in ("mlperf_log_accuracy.json", "mlperf_log_trace.json"):  # empty in performance mode, untraced
        (logs / unused).unlink(missing_ok=True)
    if failures:
        raise failures[0]
    return read_summary(logs / "mlperf_log_summary.txt"), seconds


def read_summary(path: Path) -> dict[str, str]:
    """LoadGen's summary as label → text; under `reasons` what it says is wrong or advises.

    Raises:
        NoVerdictError: there is no verdict in it.
    """
    text = path.read_text(encoding="utf-8")
    lines = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    summary = {label.strip(): value.strip() for label, value in lines}
    if "Result is" not in summary:
        raise NoVerdictError(f"LoadGen's summary of {path.parent.name} holds no verdict.")
    wrong = [line.strip() for line in text.splitlines() if line.rstrip().endswith(": NO")]
    advice = [line.strip() for line in text.splitlines() if line.strip().startswith("* ")]
    return {**summary, "reasons": "; ".join(wrong + advice) or "it gave no reason"}


def _invalid(summary: dict[str, str]) -> str | None:
    verdict = summary["Result is"]
    return None if verdict == "VALID" else f"LoadGen's verdict is {verdict}: {summary['reasons']}"


def _number(summary: dict[str, str], label: str) -> float:
    return float(summary[label])
