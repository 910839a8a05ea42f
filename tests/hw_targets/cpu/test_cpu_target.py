from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict, replace

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from hw_targets.cpu import child, target
from hw_targets.cpu.findings import noise, timed
from hw_targets.cpu.loadgen import InvalidRunError, read_summary, run_offline, run_single_stream
from hw_targets.cpu.runner import Runner, median_latency_ns
from hw_targets.cpu.settings import SETTINGS, CpuOptions
from hw_targets.target import TargetError

ONE = CpuOptions(intra_threads=1)
SAMPLES = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
SHORT = replace(SETTINGS["quick"], warmup_s=0.02, single_stream_ms=30, offline_ms=20)


@pytest.fixture
def short(monkeypatch):
    """Efforts of a second, so that the test is one too."""
    monkeypatch.setattr(target, "SETTINGS", {"quick": SHORT})


def test_a_real_measurement(tiny, short, tmp_path):
    found = target.CpuTarget(ONE).measure(tiny, tiny, SAMPLES, "quick", tmp_path)
    q = found.quantities
    assert 0 < q["latency_p50_ns"].value <= q["latency_p90_ns"].value <= q["latency_p99_ns"].value < 1e8
    assert q["latency_p50_ns"].low <= q["latency_p50_ns"].value <= q["latency_p50_ns"].high
    assert np.median(found.samples["latency_ns"]) == pytest.approx(q["latency_p50_ns"].value, rel=0.05)
    assert q["speedup_vs_dense"].low <= 1.1 and q["speedup_vs_dense"].high >= 0.9  # a model against itself
    assert q["throughput_samples_per_s"].value > 0 and q["peak_memory_bytes"].value > 0
    assert (q["macs_dense"].value, q["macs_effective"].value) == (56, 40)
    assert q["weights_removed_fraction"].value == pytest.approx(1 - 40 / 56)
    assert q["energy_per_inference_pj"].basis in ("measured", "modelled")
    assert {quantity.basis for name, quantity in q.items() if "latency" in name} == {"measured"}
    assert [row["name"] for row in found.layers] == ["a", "b"]
    assert len(found.artifacts) >= 2 * 2 * 2 * 6  # summary and detail, two scenarios, two models, six rounds
    assert all((tmp_path / artifact).is_file() for artifact in found.artifacts)
    # LoadGen's own median holds ours and its call into Python.
    ours, loadgens = q["latency_p50_ns"].value, np.median(found.conditions["loadgen_p50_ns"])
    assert 0.5 * ours < loadgens < 5 * ours + 100_000


def test_a_model_that_cannot_run_is_a_target_error_with_the_reason(tiny, short, tmp_path, build):
    broken = build([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((5, 2), np.float32)}, "y")
    with pytest.raises(TargetError, match=r"(?s)ended with status 1.*onnxruntime"):
        target.CpuTarget(ONE).measure(broken, tiny, SAMPLES, "quick", tmp_path)


def test_too_slow_is_a_target_error(tiny, monkeypatch, tmp_path):
    monkeypatch.setattr(target, "SETTINGS", {"quick": replace(SHORT, timeout_s=0.05)})
    with pytest.raises(TargetError, match=r"did not end within 0\.05 s"):
        target.CpuTarget(ONE).measure(tiny, tiny, SAMPLES, "quick", tmp_path)


def test_a_killed_process_is_a_target_error(monkeypatch):
    real = subprocess.Popen
    monkeypatch.setattr(
        child.subprocess, "Popen", lambda args, **kw: real(["/bin/sh", "-c", "echo end; kill -9 $$"], **kw)
    )
    with pytest.raises(TargetError, match=r"(?s)killed by signal 9.*end"):
        child.run_job({}, 10)


def test_the_measuring_process_ends_with_its_parent(tmp_path, tiny):
    onnx.save(tiny, tmp_path / "m.onnx")
    np.save(tmp_path / "s.npy", SAMPLES)
    endless = asdict(replace(SHORT, warmup_s=600))
    paths = {"entry": str(tmp_path / "m.onnx"), "dense": str(tmp_path / "m.onnx"), "samples": str(tmp_path / "s.npy")}
    job = {"mode": "measure", "settings": endless, "options": asdict(ONE), "logs": str(tmp_path / "logs"), **paths}
    code = f"from hw_targets.cpu.child import run_job; run_job({job!r}, 600)"
    parent = subprocess.Popen([sys.executable, "-c", code], env=child._environment())
    import psutil

    children = _wait_for(lambda: psutil.Process(parent.pid).children())
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert gone and not alive


def test_invalid_is_raised_with_loadgens_reasons(tiny, tmp_path):
    runner = Runner(tiny.SerializeToString(), SAMPLES, ONE)
    with pytest.raises(InvalidRunError, match=r"INVALID: Min duration satisfied : NO"):
        # Expected to take 1000 s an inference, LoadGen lays out too few queries.
        run_single_stream(runner, least_ms=500, least_queries=64, expected_s=1000, logs=tmp_path / "ss")
    with pytest.raises(InvalidRunError, match="Min duration satisfied : NO"):
        run_offline(runner, least_ms=500, least_samples=1, expected_per_s=1, logs=tmp_path / "off")


def test_invalid_in_the_measuring_process_is_a_target_error(tiny, tmp_path, monkeypatch):
    onnx.save(tiny, tmp_path / "m.onnx")
    np.save(tmp_path / "s.npy", SAMPLES)
    sabotage = tmp_path / "sitecustomize.py"  # a clock that runs far too slow: LoadGen lays out too few queries
    sabotage.write_text("import hw_targets.cpu.runner as r\nr.Runner.warm_up = lambda self, s: (1e3, 1e3)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(target, "SETTINGS", {"quick": replace(SHORT, single_stream_ms=300)})
    with pytest.raises(TargetError, match="INVALID: Min duration satisfied : NO"):
        target.CpuTarget(ONE).measure(tiny, tiny, SAMPLES, "quick", tmp_path)


def test_a_failure_inside_a_query_is_raised_after_the_run(tiny, tmp_path):
    runner = Runner(tiny.SerializeToString(), SAMPLES, ONE)
    runner.one = lambda index: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run_single_stream(runner, least_ms=10, least_queries=64, expected_s=1e-5, logs=tmp_path)


def test_a_summary_without_a_verdict_is_no_result(tmp_path):
    path = tmp_path / "summary.txt"
    path.write_text("SUT name : PySUT\n")
    with pytest.raises(InvalidRunError, match="None"):
        read_summary(path)


def test_speedup_pairs_rounds():
    rounds = []
    for number in range(6):
        slow = 1 + number  # the machine gets slower and slower
        for name, ns in (("dense", 300), ("entry", 100)):
            rounds.append({"round": number, "model": name, "scenario": "Offline", "samples_per_s": 1e9 / ns / slow})
            single = {"latencies_ns": [ns * slow] * 9, "loadgen_p50_ns": 0.0, "loadgen_p90_ns": 0.0}
            rounds.append({"round": number, "model": name, "scenario": "SingleStream", **single})
    of = timed({"rounds": rounds, "other_load": 0.0, "load_average_before": (0, 0, 0)}, "test")
    speedup = of.quantities["speedup_vs_dense"]
    assert (speedup.value, speedup.low, speedup.high) == (3, 3, 3)
    assert of.quantities["throughput_speedup_vs_dense"].value == pytest.approx(3)
    assert "differ by" in of.noisy


def test_noise_rule():
    assert noise(0.05, {"entry": 0.05}) is None
    assert "other processes used 20%" in noise(0.2, {"entry": 0.0})


def test_runner_gives_the_models_outputs_and_batches(tiny):
    runner = Runner(tiny.SerializeToString(), SAMPLES, ONE, batch=2)
    expected = ReferenceEvaluator(tiny).run(None, {"x": SAMPLES})[0]
    for index in (3, 0):
        runner.one(index)
        output = runner._bindings[index].copy_outputs_to_cpu()[0]
        np.testing.assert_allclose(output, expected[index : index + 1], rtol=1e-5)
    runner.many([1, 4])
    runner.many([2])


def test_median_latency(tiny):
    assert 100 < median_latency_ns(tiny, SAMPLES, ONE, seconds=0.03) < 1e8


def _wait_for(condition, timeout_s: float = 20):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it never happened")
