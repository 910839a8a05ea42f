"""Starting the measuring process, and never leaving it behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hw_targets
from hw_targets.target import TargetError

LOG_TAIL = 3_000  # characters of the log that go into an error


@dataclass(frozen=True)
class Outcome:
    """What a process found, and why that is not all, or None where it is."""

    found: list[dict[str, Any]]
    unfinished: str | None

    def value(self, name: str) -> Any:
        """The first value that was found under `name`, or None."""
        return next((each[name] for each in self.found if name in each), None)


def run_job(job: Mapping[str, Any], timeout_s: float) -> Outcome:
    """Do `job` in a fresh process and return what it found within `timeout_s`, after which it is ended.

    Raises:
        TargetError: it failed; with the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="openprune-measure-") as folder:
        path, log = Path(folder) / "job.json", Path(folder) / "log.txt"
        path.write_text(json.dumps(job), encoding="utf-8")
        with log.open("wb") as log_file:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hw_targets.measuring.process", str(path)],
                stdin=subprocess.PIPE,  # closes when this process ends, and the child with it
                stdout=log_file,
                stderr=subprocess.STDOUT,
                env=_environment(),
            )
            try:
                code: int | None = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                assert process.stdin is not None
                process.stdin.close()
        if code:
            tail = log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            raise TargetError(f"The measuring process {how}. The end of its log:\n{tail}")
        unfinished = f"the measuring process did not end within {timeout_s:g} s" if code is None else None
        return Outcome(_whole_lines(path.with_name("found.jsonl")), unfinished)


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """What was written; the line that was being written when the process was ended is left out."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _environment() -> dict[str, str]:
    package = str(Path(hw_targets.__file__).parents[1])
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *inherited])}
