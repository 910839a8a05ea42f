"""One real run on CIFAR-10 with the CPU target, killed at each stage and taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.store.records import from_json

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
LOGS_ITS_CALLS = """
import os
import time
from pathlib import Path


class Submission:
    def compress(self, model, context):
        with Path(os.environ["CALLS"]).open("a") as out:
            out.write("called\\n")
        time.sleep(2)
        return model
"""


@pytest.fixture
def command(tmp_path, cifar10):
    """Starts `openprune run` with a submission that logs its calls."""
    entry = tmp_path / "logging"
    entry.mkdir()
    (entry / "submission.py").write_text(LOGS_ITS_CALLS)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OPENPRUNE_STORE": str(tmp_path / "runs"),
        "CALLS": str(tmp_path / "calls"),
    }

    def start(*more: str) -> subprocess.Popen:
        arguments = ["run", "submission=logging", f"submission_dir={entry}", "targets=[cpu]", *more]
        return subprocess.Popen(
            [sys.executable, "-m", "harness.cli.main", *arguments],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def kill_when(process: subprocess.Popen, word: str, ready: Callable[[], bool]) -> None:
    """SIGKILL once a line with `word` has come on standard error and `ready` holds."""
    for line in process.stderr:
        if word in line:
            break
    else:
        raise AssertionError(f"the run ended without saying {word!r}")
    while not ready():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    process.stderr.close()


def test_a_run_killed_at_each_stage_resumes(command, tmp_path):
    runs, calls = tmp_path / "runs", tmp_path / "calls"
    kills = {
        "compressing": calls.exists,  # inside the submission's compress
        "judging": lambda: True,
        "measuring": lambda: bool(list(runs.glob("scratch/measure-*/logs/loadgen/*"))),  # LoadGen is at work
    }
    for word, ready in kills.items():
        kill_when(command(), word, ready)
        assert not list(runs.glob("records/*")) and not list(runs.glob("measure/*/"))
        for stage in runs.glob("compress/*/"):
            assert json.loads((stage / "stage.json").read_text())["onnx_sha256"]
    assert calls.read_text().count("called") == 2  # the first was killed in it, the second finished it

    process = command()
    out, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    assert "compressing" not in err and calls.read_text().count("called") == 2
    (file,) = runs.glob("records/*.json")
    record = from_json(file.read_bytes())
    assert record.verdict == "valid" and "logging" in out
    assert record.quality.value == record.quality.reference and record.quality.samples == 10_000
    expected = {"latency_p50_ns", "latency_p90_ns", "latency_p99_ns", "throughput_samples_per_s", "peak_memory_bytes"}
    expected |= {"weights_bytes", "weights_encoded_bytes", "weights_removed_fraction", "compression_ratio"}
    expected |= {"macs_dense", "macs_effective", "speedup_vs_dense", "energy_per_inference_pj"}
    assert expected <= set(record.quantities)
    assert record.quantities["macs_dense"].value == 40_551_040 and record.quantities["compression_ratio"].value == 1
    assert {"commit", "versions", "processor", "threads", "load"} <= set(record.environment)
    assert all((runs / name).is_file() for name in record.artifacts)
    assert not list(runs.glob("scratch/*"))

    before = file.read_bytes()
    _, err = (again := command()).communicate(timeout=60)
    assert again.returncode == 0 and "Nothing was left to do" in err and file.read_bytes() == before

    file.unlink()  # as if killed between the measurement and its record
    _, err = (again := command()).communicate(timeout=60)
    assert again.returncode == 0 and "measuring" not in err and "compressing" not in err
    remade = from_json(file.read_bytes())
    assert (remade.quantities, remade.samples) == (record.quantities, record.samples)


def test_a_store_that_cannot_be_written_is_no_entry_s_fault(command, tmp_path):
    (tmp_path / "runs").write_text("a file, where a folder should be")
    process = command()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3 and "runs" in err
    assert (tmp_path / "runs").read_text() == "a file, where a folder should be"
