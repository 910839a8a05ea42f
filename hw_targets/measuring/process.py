"""The process that measures: fresh, alone with the two models, and gone afterwards.

`python -m hw_targets.measuring.process JOB` reads a JSON job and writes what it finds beside it,
a line of JSON each as soon as it is known, so that nothing is lost when its time is up. It ends itself
when its standard input closes, that is, when the process that wanted the result is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from hw_targets.measuring.asking import Plan
    from hw_targets.measuring.effort import Settings
    from hw_targets.measuring.loadgen import Run
    from hw_targets.measuring.runner import Runner
    from hw_targets.measuring.turns import Turns

SAMPLE_S = 3e-6  # that asking alone takes


def main() -> None:
    """Do the job named on the command line."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job_path = Path(sys.argv[1])
    job = json.loads(job_path.read_text(encoding="utf-8"))
    with job_path.with_name("found.jsonl").open("w", encoding="utf-8") as file:
        for found in {"measure": measure, "memory": memory}[job["mode"]](job):
            file.write(json.dumps(found) + "\n")
            file.flush()


def measure(job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Both scenarios, the dense model and the submission in turns, then energy; what is found, as it is found."""
    import numpy as np

    from hw_targets.measuring.asking import NoRunError, ask
    from hw_targets.measuring.effort import Settings
    from hw_targets.measuring.load import OtherLoad
    from hw_targets.measuring.runner import machine_of

    settings = Settings(**job["settings"])
    samples = np.load(job["samples"], allow_pickle=False)
    yield {"load_average_before": os.getloadavg()}
    machine = machine_of(job["machine"], job["options"])

    def make(name: str) -> Runner:
        return machine.runner(Path(job[name]), samples, settings.offline_batch)

    for scenario in (_single_stream, _offline):
        plan, turns, pace_s, run = scenario(make, samples, settings)
        load = OtherLoad()
        try:
            for found in ask(plan, turns, run, pace_s, Path(job["logs"])):
                yield {"scenario": plan.scenario, **asdict(found), "other_load": load.fraction()}
        except NoRunError as error:
            yield {"scenario": plan.scenario, "absent": str(error), "other_load": load.fraction()}
        del turns, run
    energy, reason = machine.energy_pj(_for(settings.energy_s, make("entry")))
    yield {"energy_pj": energy, "energy_absent": reason}


def memory(job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Peak resident bytes of this process after running `job["entry"]`, or after the imports alone."""
    import numpy as np

    from hw_targets.measuring.runner import machine_of

    samples = np.load(job["samples"], allow_pickle=False)[:1]
    machine = machine_of(job["machine"], job["options"])
    if job["entry"] is not None:
        runner = machine.runner(Path(job["entry"]), samples, 1)
        for _ in range(3):
            runner.one(0)
    yield {"peak_bytes": machine.peak_bytes()}


Asking = tuple["Plan", "Turns", float, Callable[[float, float, Path], "Run"]]


def _single_stream(make: Callable[[str], Runner], samples: np.ndarray, settings: Settings) -> Asking:
    """The scenario's plan, its turns, the time of a query for its first run, and what makes a run."""
    from hw_targets.measuring.asking import Plan
    from hw_targets.measuring.loadgen import run_single_stream

    queries = settings.single_stream_queries
    plan = Plan("SingleStream", settings.single_stream_ms / 1e3, 1.0, settings)  # LoadGen lays out twice as many
    turns = _turns(make, settings, lambda runner: min(runner.time_one(), runner.time_one()), queries_in_turn=2)

    def run(seconds: float, expected_s: float, logs: Path) -> Run:
        return run_single_stream(
            turns, len(samples), least_s=seconds, least_queries=queries, expected_s=expected_s, logs=logs
        )

    return plan, turns, min(turns.pace_s.values()) + SAMPLE_S, run


def _offline(make: Callable[[str], Runner], samples: np.ndarray, settings: Settings) -> Asking:
    """As `_single_stream`."""
    from hw_targets.measuring.asking import Plan
    from hw_targets.measuring.loadgen import run_offline

    batch, least = settings.offline_batch, settings.offline_samples
    plan = Plan("Offline", settings.offline_ms / 1e3, 1.2, settings)
    turns = _turns(make, settings, lambda runner: runner.time_many(), queries_in_turn=1)

    def run(seconds: float, expected_s: float, logs: Path) -> Run:
        return run_offline(
            turns,
            len(samples),
            batch=batch,
            least_s=seconds,
            least_samples=least,
            expected_per_s=1 / expected_s,
            logs=logs,
        )

    return plan, turns, max(turns.pace_s.values()) / batch + SAMPLE_S, run


def _turns(
    make: Callable[[str], Runner], settings: Settings, pace: Callable[[Runner], float], queries_in_turn: int
) -> Turns:
    from hw_targets.measuring.pairs import DENSE, ENTRY
    from hw_targets.measuring.turns import Turns

    turns = Turns(
        (DENSE, ENTRY),
        make,
        pace,
        turn_s=settings.turn_ms / 1e3,
        segment_s=settings.segment_ms / 1e3,
        queries_in_turn=queries_in_turn,
    )
    turns.start()  # so that the models' pace is known
    return turns


def _for(seconds: float, runner: Runner) -> Callable[[], int]:
    """Infers for so long, and returns how many samples."""
    import time

    def infer() -> int:
        count, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            runner.one(count % len(runner.samples))
            count += 1
        return count

    return infer


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
