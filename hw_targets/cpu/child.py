"""Starting the measuring process, and never leaving it behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hw_targets
from hw_targets.target import TargetError

LOG_TAIL = 3_000  # characters of the log that go into an error


def run_job(job: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """Do `job` in a fresh process and return its result.

    Raises:
        TargetError: it failed or took longer than `timeout_s`; with the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="openprune-measure-") as folder:
        path, log = Path(folder) / "job.json", Path(folder) / "log.txt"
        path.write_text(json.dumps(job), encoding="utf-8")
        with log.open("wb") as log_file:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hw_targets.cpu.measuring_process", str(path)],
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
        tail = log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]
        if code is None:
            raise TargetError(f"The measuring process did not end within {timeout_s:g} s. The end of its log:\n{tail}")
        if code != 0:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            raise TargetError(f"The measuring process {how}. The end of its log:\n{tail}")
        result: dict[str, Any] = json.loads(path.with_name("result.json").read_text(encoding="utf-8"))
        return result


def _environment() -> dict[str, str]:
    package = str(Path(hw_targets.__file__).parents[1])
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *inherited])}
