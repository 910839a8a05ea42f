"""The process that measures: fresh, alone with the two models, and gone afterwards.

`python -m hw_targets.cpu.measuring_process JOB` reads a JSON job and writes `result.json` beside
it. It ends itself when its standard input closes, that is, when the process that wanted the result
is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hw_targets.cpu.runner import Runner
    from hw_targets.cpu.settings import Settings


def main() -> None:
    """Do the job named on the command line."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job_path = Path(sys.argv[1])
    job = json.loads(job_path.read_text(encoding="utf-8"))
    result = {"measure": measure, "memory": memory}[job["mode"]](job)
    job_path.with_name("result.json").write_text(json.dumps(result), encoding="utf-8")


def measure(job: Mapping[str, Any]) -> dict[str, Any]:
    """All rounds of both scenarios, the dense model and the entry in turns (dense first in every other round)."""
    import numpy as np

    from hw_targets.cpu.load import OtherLoad
    from hw_targets.cpu.runner import Runner
    from hw_targets.cpu.settings import CpuOptions, Settings

    settings, options = Settings(**job["settings"]), CpuOptions(**job["options"])
    samples = np.load(job["samples"], allow_pickle=False)
    load_before = os.getloadavg()
    runners = {
        name: Runner(Path(job[name]), samples, options, batch=settings.offline_batch) for name in ("dense", "entry")
    }
    pace = {name: runner.warm_up(settings.warmup_s) for name, runner in runners.items()}
    load = OtherLoad()
    rounds = []
    for number in range(settings.rounds):
        order = ("dense", "entry") if number % 2 == 0 else ("entry", "dense")
        for name in order:
            rounds.append(_single_stream(runners[name], name, number, settings, pace[name][0], job))
        for name in order:
            rounds.append(_offline(runners[name], name, number, settings, pace[name][1], job))
    others = load.fraction()
    energy, reason = _energy(runners["entry"], settings.energy_s)
    return {
        "rounds": rounds,
        "other_load": others,
        "load_average_before": load_before,
        "energy_pj": energy,
        "energy_absent": reason,
    }


def memory(job: Mapping[str, Any]) -> dict[str, Any]:
    """Peak resident bytes of this process after running `job["entry"]`, or after the imports alone."""
    import numpy as np

    from hw_targets.cpu.load import peak_resident_bytes
    from hw_targets.cpu.runner import Runner
    from hw_targets.cpu.settings import CpuOptions

    samples = np.load(job["samples"], allow_pickle=False)[:1]
    if job["entry"] is not None:
        runner = Runner(Path(job["entry"]), samples, CpuOptions(**job["options"]), batch=1)
        for _ in range(3):
            runner.one(0)
    return {"peak_bytes": peak_resident_bytes()}


def _single_stream(
    runner: Runner, name: str, number: int, settings: Settings, expected_s: float, job: Mapping[str, Any]
) -> dict[str, Any]:
    from hw_targets.cpu.loadgen import run_single_stream

    answer = run_single_stream(
        runner,
        least_ms=settings.single_stream_ms,
        least_queries=settings.single_stream_queries,
        expected_s=expected_s / 2,  # LoadGen runs out of queries if inference gets faster than expected
        logs=Path(job["logs"]) / f"{number}_{name}_single_stream",
    )
    return {
        "round": number,
        "model": name,
        "scenario": "SingleStream",
        "latencies_ns": answer.latencies_ns.tolist(),
        "loadgen_p50_ns": answer.loadgen_p50_ns,
        "loadgen_p90_ns": answer.loadgen_p90_ns,
    }


def _offline(
    runner: Runner, name: str, number: int, settings: Settings, expected_s: float, job: Mapping[str, Any]
) -> dict[str, Any]:
    """One Offline run; where it came out too short, once more at twice the pace it reached."""
    from hw_targets.cpu.loadgen import InvalidRunError, run_offline

    pace, logs = 1.3 / expected_s, Path(job["logs"]) / f"{number}_{name}_offline"
    for attempt in ("", "_again"):
        try:
            answer = run_offline(
                runner,
                least_ms=settings.offline_ms,
                least_samples=settings.offline_samples,
                expected_per_s=pace,
                logs=logs.with_name(logs.name + attempt),
            )
            break
        except InvalidRunError:
            if attempt:
                raise
            pace *= 2
    found = {"samples_per_s": answer.samples_per_s, "repeated": bool(attempt)}
    return {"round": number, "model": name, "scenario": "Offline", **found}


def _energy(runner: Runner, seconds: float) -> tuple[float | None, str | None]:
    import time

    from hw_targets.energy import measured_energy_pj, processor_monitor

    monitor = processor_monitor()
    if isinstance(monitor, str):
        return None, monitor

    def infer() -> int:
        count, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            runner.one(count % len(runner.samples))
            count += 1
        return count

    try:
        return measured_energy_pj(monitor, infer), None
    except ValueError as error:
        return None, str(error)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
