from __future__ import annotations

import math
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

from hw_targets.cpu import target
from hw_targets.cpu.runner import Runner, median_latency_ns
from hw_targets.cpu.settings import CpuOptions
from hw_targets.measuring import child
from hw_targets.measuring.child import Outcome
from hw_targets.measuring.effort import SETTINGS
from hw_targets.measuring.findings import noise, timed
from hw_targets.measuring.loadgen import NoVerdictError, read_summary, run_offline, run_single_stream
from hw_targets.measuring.turns import Turns
from hw_targets.target import TargetError

ONE = CpuOptions(intra_threads=1)
SAMPLES = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
SHORT = replace(
    SETTINGS["quick"], segment_ms=5, segments=3, precision=9.0, turn_ms=1, single_stream_ms=100, offline_ms=60
)
TIMED = ("latency_p50_ns", "latency_p99_ns", "speedup_vs_dense", "throughput_samples_per_s")


@pytest.fixture
def short(monkeypatch):
    """Efforts of a second, so that the test is one too."""
    monkeypatch.setattr(target, "SETTINGS", {"quick": SHORT})


def test_a_real_measurement(tiny, short, tmp_path):
    found = target.CpuTarget(ONE).measure(tiny, tiny, SAMPLES, "quick", tmp_path)
    q = found.quantities
    assert 0 < q["latency_p50_ns"].value <= q["latency_p90_ns"].value <= q["latency_p99_ns"].value < 1e8
    assert q["latency_p50_ns"].low <= q["latency_p50_ns"].value <= q["latency_p50_ns"].high
    assert q["speedup_vs_dense"].low <= q["speedup_vs_dense"].value <= q["speedup_vs_dense"].high
    assert np.median(found.samples["latency_ns"]) == pytest.approx(q["latency_p50_ns"].value, rel=0.3)
    assert q["throughput_samples_per_s"].value > 0 and q["peak_memory_bytes"].value > 0
    assert (q["macs_dense"].value, q["macs_effective"].value) == (56, 40)
    assert q["weights_removed_fraction"].value == pytest.approx(1 - 40 / 56)
    assert q["energy_per_inference_pj"].basis in ("measured", "modelled")
    assert {quantity.basis for name, quantity in q.items() if "latency" in name} == {"measured"}
    assert [row["name"] for row in found.layers] == ["a", "b"]
    assert len(found.artifacts) >= 2 * 2  # summary and detail of a run of each scenario
    assert all((tmp_path / artifact).is_file() for artifact in found.artifacts)
    assert found.absent == {}
    kept = found.conditions["samples_by_block"]
    assert {name: sum(sizes) for name, sizes in kept.items()} == {name: len(of) for name, of in found.samples.items()}
    # LoadGen's own median is of the same queries as ours, with its call into Python.
    run = found.conditions["loadgen"]["single_stream"][0]
    assert run["p50_ns"] <= run["loadgen"]["p50_ns"] < 5 * run["p50_ns"] + 100_000
    assert run["queries"] >= sum(asked["samples"] for asked in run["asked"].values()) >= 64


def test_a_model_that_cannot_run_is_a_target_error_with_the_reason(tiny, short, tmp_path, build):
    broken = build([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((5, 2), np.float32)}, "y")
    with pytest.raises(TargetError, match=r"(?s)ended with status 1.*onnxruntime"):
        target.CpuTarget(ONE).measure(broken, tiny, SAMPLES, "quick", tmp_path)


def test_what_the_time_does_not_suffice_for_is_absent_with_the_reason(tiny, monkeypatch, tmp_path):
    monkeypatch.setattr(target, "SETTINGS", {"quick": replace(SHORT, timeout_s=0.05)})
    found = target.CpuTarget(ONE).measure(tiny, tiny, SAMPLES, "quick", tmp_path)
    for name in (*TIMED, "throughput_speedup_vs_dense", "peak_memory_bytes"):
        assert "did not end within 0.05 s" in found.absent[name] and name not in found.quantities
    assert found.quantities["macs_effective"].value == 40 and found.quantities["energy_per_inference_pj"].value > 0


def test_what_was_found_before_the_time_was_up_stands(tiny, monkeypatch, tmp_path):
    sabotage = tmp_path / "sitecustomize.py"  # Offline never ends
    sabotage.write_text("import time, hw_targets.cpu.runner as r\nr.Runner.time_many = lambda self: time.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(target, "SETTINGS", {"quick": replace(SHORT, timeout_s=6)})
    found = target.CpuTarget(ONE).measure(tiny, tiny, SAMPLES, "quick", tmp_path)
    assert {"latency_p50_ns", "speedup_vs_dense", "peak_memory_bytes"} <= set(found.quantities)
    assert "did not end within 6 s" in found.absent["throughput_samples_per_s"]


def test_half_a_line_is_not_believed(tmp_path):
    path = tmp_path / "found.jsonl"
    assert child._whole_lines(path) == []
    path.write_text('{"a": 1}\n{"b": 2')
    assert child._whole_lines(path) == [{"a": 1}]


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
    endless = asdict(replace(SHORT, limit_s=600, precision=0))
    paths = {"entry": str(tmp_path / "m.onnx"), "dense": str(tmp_path / "m.onnx"), "samples": str(tmp_path / "s.npy")}
    job = {"mode": "measure", "settings": endless, "options": asdict(ONE), "logs": str(tmp_path / "logs"), **paths}
    code = f"from hw_targets.measuring.child import run_job; run_job({job!r}, 600)"
    parent = subprocess.Popen([sys.executable, "-c", code], env=child._environment())
    import psutil

    children = _wait_for(lambda: psutil.Process(parent.pid).children())
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert gone and not alive


def alone(runner: Runner) -> Turns:
    return Turns(("entry",), lambda _: runner, lambda _: 1e-5, turn_s=0.001, segment_s=math.inf)


def test_a_run_that_is_too_short_is_invalid_with_loadgens_reasons(tiny, tmp_path):
    turns = alone(Runner(tiny.SerializeToString(), SAMPLES, ONE))
    # Expected to take 1000 s an inference, LoadGen lays out too few queries.
    single = run_single_stream(turns, 5, least_s=0.5, least_queries=64, expected_s=1000, logs=tmp_path / "ss")
    assert "INVALID: Min duration satisfied : NO" in single.invalid and single.queries == 64
    offline = run_offline(turns, 5, batch=2, least_s=0.5, least_samples=1, expected_per_s=1, logs=tmp_path / "off")
    assert "Min duration satisfied : NO" in offline.invalid and offline.seconds < 0.5


def test_no_valid_run_in_time_is_absent_with_loadgens_reason(tiny, tmp_path, monkeypatch):
    sabotage = tmp_path / "sitecustomize.py"  # every run is laid out for a system that is far too slow
    sabotage.write_text(
        "import hw_targets.measuring.loadgen as l\nreal = l.run_single_stream\n"
        "l.run_single_stream = lambda *a, **k: real(*a, **{**k, 'expected_s': 1e3})\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(target, "SETTINGS", {"quick": replace(SHORT, limit_s=0.2)})
    found = target.CpuTarget(ONE).measure(tiny, tiny, SAMPLES, "quick", tmp_path)
    assert "none counts: LoadGen's verdict is INVALID: Min duration" in found.absent["speedup_vs_dense"]
    assert found.absent["latency_p90_ns"] == found.absent["speedup_vs_dense"]
    assert found.quantities["throughput_samples_per_s"].value > 0


def test_a_failure_inside_a_query_is_raised_after_the_run(tiny, tmp_path):
    runner = Runner(tiny.SerializeToString(), SAMPLES, ONE)
    runner.one = lambda index: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run_single_stream(alone(runner), 5, least_s=0.01, least_queries=64, expected_s=1e-5, logs=tmp_path)


def test_a_summary_without_a_verdict_is_no_result(tmp_path):
    path = tmp_path / "summary.txt"
    path.write_text("SUT name : PySUT\n")
    with pytest.raises(NoVerdictError, match="no verdict"):
        read_summary(path)


def _turn(model: str, number: int, ns: float, count: int = 9) -> dict:
    return {"model": model, "segment": number, "pair": number, "times_ns": [round(ns)] * count, "samples": count}


def _outcome(slow: list[float], other_load: float = 0.0) -> Outcome:
    """A run of each scenario, its pairs slowed by `slow`, the submission three times as fast as dense."""
    turns = [_turn(m, n, ns * by) for n, by in enumerate(slow) for m, ns in (("dense", 3e5), ("entry", 1e5))]
    run = {"turns": turns, "loadgen": {}, "p50_ns": None, "asked": {}, "queries": 0, "seconds": 1.0}
    found = {"run": run, "enough_at_look": 1, "other_load": other_load}
    return Outcome([{"scenario": scenario, **found} for scenario in ("SingleStream", "Offline")], None)


def test_a_ratio_is_sure_and_a_latency_is_not_where_the_machine_gets_slower():
    of = timed(_outcome([1 + number / 10 for number in range(8)]), "test", 0.02)
    speedup, latency = of.quantities["speedup_vs_dense"], of.quantities["latency_p50_ns"]
    assert (speedup.value, speedup.low, speedup.high) == pytest.approx((3, 3, 3))
    assert of.quantities["throughput_speedup_vs_dense"].value == pytest.approx(3)
    assert latency.high / latency.low > 1.3  # 72 equal latencies a block would leave no doubt
    assert "median latencies of entry differ by 52% over time" in of.noisy


def test_nothing_found_is_absent():
    of = timed(Outcome([], "the measuring process did not end within 3 s"), "test", 0.02)
    assert of.quantities == {} and set(of.absent.values()) == {"the measuring process did not end within 3 s"}
    assert {*TIMED, "latency_p90_ns", "throughput_speedup_vs_dense"} == set(of.absent)


def test_noise_rule():
    assert timed(_outcome([1.0] * 8), "test", 0.02).noisy is None
    assert "other processes used 50%" in timed(_outcome([1.0] * 8, other_load=0.5), "test", 0.02).noisy
    assert noise(0.05, {"entry": 0.05}, {"speedup_vs_dense": 0.01}, 0.02) is None
    assert "other processes used 20%" in noise(0.2, {"entry": 0.0}, {}, 0.02)
    assert "known to ±5.0%" in noise(0.0, {}, {"speedup_vs_dense": 0.05}, 0.02)
    assert "without an interval" in noise(0.0, {}, {"speedup_vs_dense": math.inf}, 0.02)


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
