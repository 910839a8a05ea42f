"""The first stage of a run: the entry's `compress`, in a process of its own, under its budget."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.entries.rules import HarnessError
from harness.entries.worker import Job, WorkerResult
from harness.store.keys import compress_key
from harness.store.sources import REPOSITORY
from harness.store.store import Store
from harness.tasks.task import Task
from harness.util.files import sha256_of_file
from harness.util.names import UsageError

if TYPE_CHECKING:
    from harness.entries.loading import Entry
    from harness.references.find import ReferenceFile

START_ALLOWANCE_S = 120.0  # to start Python, load the data and export: not the entry's time
LOG_TAIL_BYTES = 4000
# Signals that come from outside (a user, the kernel short of memory) and say nothing about the entry.
OUTSIDE_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def compress_stage(task: Task, weights: ReferenceFile, entry: Entry, seed: int, store: Store) -> dict[str, Any]:
    """Compress once for each key, and return the stage's result.

    Returns:
        `key`, `time_s`, `samples_trained`, and either `onnx_sha256` or `rule`, `message`, `detail`.

    Raises:
        HarnessError: the worker was ended from outside; the next call tries again.
        UsageError: the entry says that its parameters make no sense.
    """
    key = compress_key(task, weights.sha256, entry, seed)

    def work(scratch: Path) -> Mapping[str, Any]:
        job = Job(
            task=asdict(task),
            weights=str(weights.path),
            submission=entry.name,
            folder=str(entry.folder),
            config=dict(entry.parameters),
            seed=seed,
            workdir=str(scratch),
            limit_s=task.budget.compress_s,
        )
        result = run_worker(job, scratch)
        shutil.rmtree(scratch / "scratch", ignore_errors=True)
        for used in ("job.json", "result.json"):
            (scratch / used).unlink(missing_ok=True)
        if result.get("rule"):
            (scratch / "model.onnx").unlink(missing_ok=True)
            return result
        return {**result, "onnx_sha256": sha256_of_file(scratch / "model.onnx")}

    return {"key": key, **store.do("compress", key, work)}


def run_worker(job: Job, scratch: Path) -> dict[str, Any]:
    job_file, log = scratch / "job.json", scratch / "log.txt"
    job_file.write_text(json.dumps(asdict(job)))
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *inherited])}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.entries.worker", str(job_file)],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=None if sys.stderr.isatty() else out,
            env=environment,
            start_new_session=True,
        )
        try:
            process.wait(timeout=job.limit_s + START_ALLOWANCE_S)
        except subprocess.TimeoutExpired:
            return {
                "rule": "time_limit",
                "message": f"compress ran longer than the task's {job.limit_s:g} s and was ended.",
                "detail": _tail(log),
                "time_s": job.limit_s,
                "samples_trained": 0,
            }
        finally:
            _end(process)
    result = _read_result(scratch / "result.json") if process.returncode == 0 else None
    if result is not None:
        if result["usage"]:
            raise UsageError(f"{job.submission}: {result['usage']}")
        if result["fault"]:
            raise HarnessError(f"the worker failed outside the entry: {result['fault']}\n{result['detail']}")
        if result["time_s"] > job.limit_s:
            result.update(rule="time_limit", message=f"compress took {result['time_s']:.0f} s of {job.limit_s:g} s.")
        return result
    if -process.returncode in OUTSIDE_SIGNALS:
        name = signal.Signals(-process.returncode).name
        raise HarnessError(f"the worker was ended by {name} from outside (short of memory?); run again. {_tail(log)}")
    how = (
        f"signal {signal.Signals(-process.returncode).name}"
        if process.returncode < 0
        else f"exit code {process.returncode}"
    )
    return {
        "rule": "entry_crashed",
        "message": f"The worker process ended with {how} before compress returned.",
        "detail": _tail(log),
        "time_s": 0.0,
        "samples_trained": 0,
    }


def _read_result(file: Path) -> dict[str, Any] | None:
    """What the worker wrote; None where an entry ended the process before, or wrote there itself."""
    try:
        return asdict(WorkerResult(**json.loads(file.read_text())))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _end(process: subprocess.Popen) -> None:
    """End the worker and whatever it started: they share a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _tail(log: Path) -> str:
    data = log.read_bytes() if log.exists() else b""
    return data[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
