"""MLPerf LoadGen asks, the runner answers: SingleStream for latency, Offline for throughput.

LoadGen (`mlcommons-loadgen`) decides which sample is asked for and when, and whether the run
counts. SingleStream's latencies are the times around the inference inside `issue_query`, taken
with the monotonic clock: LoadGen's own percentiles, kept beside them, also hold its call into
Python. (LoadGen gives single latencies away only in its trace, which costs a second thread and
650 bytes a query.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import mlperf_loadgen as lg
import numpy as np

from hw_targets.cpu.runner import Runner

Scenario = Literal["SingleStream", "Offline"]

# The current seeds of MLPerf Inference (loadgen/mlperf.conf).
QSL_SEED, SAMPLE_INDEX_SEED, SCHEDULE_SEED = 2085463073848966840, 2747215439041700203, 16159082839903944936


class InvalidRunError(Exception):
    """LoadGen says that a run does not count, and why."""


@dataclass(frozen=True)
class Answer:
    """What one run of LoadGen found.

    Attributes:
        latencies_ns: SingleStream, one a query, in order; empty in Offline.
        samples_per_s: Offline's throughput; None in SingleStream.
        loadgen_p50_ns, loadgen_p90_ns: LoadGen's own percentiles in SingleStream.
    """

    latencies_ns: np.ndarray
    samples_per_s: float | None
    loadgen_p50_ns: float | None
    loadgen_p90_ns: float | None


def run_single_stream(runner: Runner, *, least_ms: int, least_queries: int, expected_s: float, logs: Path) -> Answer:
    """One query of one sample after the other.

    Args:
        expected_s: time of one inference; LoadGen lays out as many queries as fill twice
            `least_ms` at this pace, so it must not be above the truth.
        logs: folder for LoadGen's summary and detail.

    Raises:
        InvalidRunError: LoadGen's verdict is INVALID.
    """
    settings = _settings("SingleStream", least_ms, least_queries)
    settings.single_stream_expected_latency_ns = max(int(expected_s * 1e9), 1)
    settings.single_stream_target_latency_percentile = 0.9
    times: list[int] = []
    failures: list[Exception] = []
    clock, one, response = time.perf_counter_ns, runner.one, lg.QuerySampleResponse

    def issue(ids: list[int], indexes: list[int]) -> None:
        start = clock()
        try:
            one(indexes[0])
        except Exception as error:  # noqa: BLE001 - must not cross LoadGen's C++; raised after the run
            failures.append(error)
        times.append(clock() - start)
        lg.QuerySamplesComplete([response(ids[0], 0, 0)])

    summary = _start(issue, len(runner.samples), settings, logs, failures)
    return Answer(
        np.asarray(times, np.int64),
        None,
        _number(summary, "50.00 percentile latency (ns)"),
        _number(summary, "90.00 percentile latency (ns)"),
    )


def run_offline(runner: Runner, *, least_ms: int, least_samples: int, expected_per_s: float, logs: Path) -> Answer:
    """All samples at once, answered in batches of `runner.batch`.

    Args:
        expected_per_s: samples per second; must not be below the truth, or the run is too short.

    Raises:
        InvalidRunError: LoadGen's verdict is INVALID.
    """
    settings = _settings("Offline", least_ms, least_samples)
    settings.offline_expected_qps = expected_per_s
    failures: list[Exception] = []

    def issue(ids: list[int], indexes: list[int]) -> None:
        for start in range(0, len(ids), runner.batch):
            try:
                if not failures:
                    runner.many(indexes[start : start + runner.batch])
            except Exception as error:  # noqa: BLE001 - must not cross LoadGen's C++; raised after the run
                failures.append(error)
            lg.QuerySamplesComplete([lg.QuerySampleResponse(i, 0, 0) for i in ids[start : start + runner.batch]])

    summary = _start(issue, len(runner.samples), settings, logs, failures)
    return Answer(np.empty(0, np.int64), _number(summary, "Samples per second"), None, None)


def _settings(scenario: Scenario, least_ms: int, least_queries: int) -> lg.TestSettings:
    settings = lg.TestSettings()
    settings.scenario = getattr(lg.TestScenario, scenario)
    settings.mode = lg.TestMode.PerformanceOnly
    settings.min_duration_ms = least_ms
    settings.min_query_count = least_queries
    settings.qsl_rng_seed, settings.sample_index_rng_seed = QSL_SEED, SAMPLE_INDEX_SEED
    settings.schedule_rng_seed = SCHEDULE_SEED
    return settings


def _start(
    issue: Callable[[list[int], list[int]], None],
    samples: int,
    settings: lg.TestSettings,
    logs: Path,
    failures: list[Exception],
) -> dict[str, str]:
    """Run LoadGen and return its summary, by label."""
    logs.mkdir(parents=True, exist_ok=True)
    log_settings = lg.LogSettings()
    log_settings.log_output.outdir = str(logs)
    log_settings.log_output.copy_summary_to_stdout = False
    log_settings.enable_trace = False
    system = lg.ConstructFastSUT(issue, lambda: None)
    library = lg.ConstructQSL(samples, samples, lambda _: None, lambda _: None)
    try:
        lg.StartTestWithLogSettings(system, library, settings, log_settings, "")
    finally:
        lg.DestroyQSL(library)
        lg.DestroyFastSUT(system)
    for unused in ("mlperf_log_accuracy.json", "mlperf_log_trace.json"):  # empty in performance mode, untraced
        (logs / unused).unlink(missing_ok=True)
    if failures:
        raise failures[0]
    return read_summary(logs / "mlperf_log_summary.txt")


def read_summary(path: Path) -> dict[str, str]:
    """LoadGen's summary as label → text.

    Raises:
        InvalidRunError: the verdict is not VALID; with LoadGen's own reasons.
    """
    text = path.read_text(encoding="utf-8")
    lines = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    summary = {label.strip(): value.strip() for label, value in lines}
    if summary.get("Result is") != "VALID":
        wrong = [line.strip() for line in text.splitlines() if line.rstrip().endswith(": NO")]
        advice = [line.strip() for line in text.splitlines() if line.strip().startswith("* ")]
        reasons = "; ".join(wrong + advice) or "it gave no reason"
        raise InvalidRunError(f"LoadGen's verdict on {path.parent.name} is {summary.get('Result is')}: {reasons}")
    return summary


def _number(summary: dict[str, str], label: str) -> float:
    return float(summary[label])
