"""The worker seen from outside: started in a session of its own, ended in time, and believed in one file only."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from harness.entries.rules import HarnessError
from harness.entries.worker import Job, WorkerResult
from harness.util.names import UsageError

SOURCES = Path(__file__).resolve().parents[2]  # where the worker imports our packages from
START_ALLOWANCE_S = 120.0  # to start Python, load the data and export: not the submission's time
LOG_TAIL_BYTES = 4000
# Signals that come from outside (a user, the kernel short of memory) and say nothing about the submission.
OUTSIDE_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run_worker(job: Job, folder: Path) -> WorkerResult:
    """Do `job` in a process of its own, and return what it tells or, where it tells nothing, how it ended.

    Args:
        folder: `job.workdir`; gets the job, the log and the result.

    Raises:
        HarnessError: the worker was ended from outside, or failed outside the submission's code.
        UsageError: the submission says that its parameters make no sense.
    """
    job_file, log = folder / "job.json", folder / "log.txt"
    job_file.write_text(json.dumps(asdict(job)))
    exit_code = _run(job_file, log, job.limit_s + START_ALLOWANCE_S)
    if exit_code is None:
        message = f"compress ran longer than the task's {job.limit_s:g} s and was ended."
        return WorkerResult(rule="time_limit", message=message, detail=_tail(log), time_s=job.limit_s)
    told = _read_result(folder / "result.json") if exit_code == 0 else None
    if told is None:
        return _ended(exit_code, log)
    if told.usage:
        raise UsageError(f"{job.submission}: {told.usage}")
    if told.fault:
        raise HarnessError(f"the worker failed outside the submission: {told.fault}\n{told.detail}")
    if told.time_s > job.limit_s:
        message = f"compress took {told.time_s:.0f} s of {job.limit_s:g} s."
        return replace(told, rule="time_limit", message=message)
    return told


def _run(job_file: Path, log: Path, limit_s: float) -> int | None:
    """The worker's exit code, negative for a signal; None where it took longer than `limit_s`."""
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCES), *inherited])}
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
            return process.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)


def _end(process: subprocess.Popen) -> None:
    """End the worker and whatever it started: they share a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _ended(exit_code: int, log: Path) -> WorkerResult:
    """What it means that a worker ended without telling anything.

    Raises:
        HarnessError: it was ended from outside.
    """
    name = signal.Signals(-exit_code).name if exit_code < 0 else ""
    if -exit_code in OUTSIDE_SIGNALS:
        raise HarnessError(f"the worker was ended by {name} from outside (short of memory?); run again. {_tail(log)}")
    how = f"signal {name}" if name else f"exit code {exit_code}"
    message = f"The worker process ended with {how} before compress returned."
    return WorkerResult(rule="entry_crashed", message=message, detail=_tail(log))


def _read_result(file: Path) -> WorkerResult | None:
    """What the worker wrote; None where a submission ended the process before, or wrote there itself."""
    from pydantic import TypeAdapter

    try:
        told = TypeAdapter(WorkerResult).validate_json(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return told if math.isfinite(told.time_s) else None


def _tail(log: Path) -> str:
    data = log.read_bytes() if log.exists() else b""
    return data[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
