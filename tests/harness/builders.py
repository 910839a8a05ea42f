"""Records that look like real ones: ResNet-20 pruned by magnitude, on a CPU or on a simulator.

The figures are drawn from a seeded generator; they stand for no measurement.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from harness.store.quality import Quality
from harness.store.records import Compression, Failure, Record
from hw_targets.target import Quantity

REFERENCE = 0.9225
TEST_SAMPLES = 10_000
MACHINE = "3f2a9c4b7d10"


def build_record(
    submission: str = "magnitude",
    target: str = "cpu",
    *,
    seed: int = 0,
    repeat: int = 0,
    verdict: str = "valid",
    task: str = "cifar10_resnet20",
    created: str = "2026-03-01T12:00:00+00:00",
    accuracy: float = 0.9187,
    latency_ns: float = 410_000.0,
    removed: float = 0.7,
    queries: int = 400,
    machine: str = MACHINE,
    **changes: Any,
) -> Record:
    """One record; `changes` replace whole fields of it.

    Args:
        latency_ns: the submission's median; the dense reference takes 620 µs.
        removed: fraction of the weights that are zero.
        queries: raw latency samples.
    """
    name = f"{task}/{submission}/{target}/{seed}/{repeat}/{created}/{machine}"
    key = hashlib.sha256(name.encode()).hexdigest()
    run = hashlib.sha256(f"{task}/{submission}/{seed}".encode()).hexdigest()
    measured = verdict != "error"
    simulated = target == "eie"
    samples = {} if simulated else _samples(int(key[:8], 16), latency_ns, queries)
    fields: dict[str, Any] = {
        "id": key[:32],
        "run": run[:32],
        "created": created,
        "task": task,
        "task_version": 1,
        "submission": submission,
        "target": target,
        "seed": seed,
        "repeat": repeat,
        "effort": "standard",
        "verdict": verdict,
        "compression": Compression(key=run, time_s=312.4, samples_trained=450_000, onnx_sha256=key),
        "quality": _quality(accuracy) if measured else None,
        "failure": _failure(verdict, accuracy),
        "quantities": _quantities(samples, simulated, latency_ns, removed) if measured else {},
        "absent": _absent(simulated) if measured else {},
        "samples": samples if measured else {},
        "layers": _layers(removed) if measured else [],
        "conditions": {"threads": 1, "load_1min": 0.12, "governor": "performance"},
        "parameters": {"sparsity": removed, "recovery": {"epochs": 10, "learning_rate": 0.01}},
        "environment": {
            "commit": "1e8215b0c4d2",
            "versions": {"python": "3.11.9", "torch": "2.9.0", "onnxruntime": "1.23.0"},
            "processor": "Example CPU @ 2.50GHz (family 6, model 85, stepping 7)",
            "cores": 2,
            "system": "Linux 6.1.0",
            "machine_fingerprint": machine,
        },
    }
    return Record(**{**fields, **changes})


def _quality(accuracy: float) -> Quality:
    delta = accuracy - REFERENCE
    half = 0.0031
    return Quality(
        "top1_accuracy", accuracy, REFERENCE, 0.99 * REFERENCE, delta, delta - half, delta + half, TEST_SAMPLES
    )


def _failure(verdict: str, accuracy: float) -> Failure | None:
    if verdict == "invalid":
        target = 0.99 * REFERENCE
        message = f"The accuracy {accuracy:.4f} is below the target {target:.4f}. Prune less, or train for longer."
        return Failure("quality_target", message)
    if verdict == "error":
        trace = 'Traceback (most recent call last):\n  File "loadgen.py", line 88, in measure\nTimeoutError: 600 s'
        return Failure("target_failed", "LoadGen did not end within 600 s. Run it again on a quiet machine.", trace)
    return None


def _samples(seed: int, latency_ns: float, queries: int) -> dict[str, list[float]]:
    """Log-normal bodies with a few slow queries, as on a real machine."""
    generator = np.random.default_rng(seed)
    slow = np.where(generator.random(queries) < 0.02, 1.6, 1.0)
    entry = latency_ns * np.exp(generator.normal(0, 0.03, queries)) * slow
    dense = 620_000.0 * np.exp(generator.normal(0, 0.03, queries)) * slow
    return {"latency_ns": entry.round().tolist(), "dense_latency_ns": dense.round().tolist()}


def _quantities(
    samples: dict[str, list[float]], simulated: bool, latency_ns: float, removed: float
) -> dict[str, Quantity]:
    counted = "ONNX graph"
    dense_macs = 40_551_040.0
    quantities = {
        "parameters": Quantity(272_474.0, "1", "modelled", counted),
        "weights_bytes": Quantity(1_089_896.0, "bytes", "modelled", counted),
        "weights_removed_fraction": Quantity(removed, "fraction", "modelled", counted),
        "macs_dense": Quantity(dense_macs, "1", "modelled", counted),
        "macs_effective": Quantity(round(dense_macs * (1 - removed)), "1", "modelled", counted),
        "compression_ratio": Quantity(1 / (1 - 0.9 * removed), "ratio", "modelled", "CSR, 16-bit indices"),
    }
    if simulated:
        source = "EIE simulator, 64 processing elements at 800 MHz"
        quantities["latency_p50_ns"] = Quantity(24_350.0, "ns", "simulated", source)
        quantities["energy_per_inference_pj"] = Quantity(13_900_000.0, "pJ", "simulated", source)
        quantities["speedup_vs_dense"] = Quantity(3.1, "ratio", "simulated", source)
        return quantities
    source = "MLPerf LoadGen 6.0, SingleStream, ONNX Runtime 1.23.0"
    for percent in (50, 90, 99):
        value = float(np.percentile(samples["latency_ns"], percent))
        quantities[f"latency_p{percent}_ns"] = Quantity(
            value, "ns", "measured", source, 0.99 * value, 1.01 * value if percent < 99 else 1.2 * value
        )
    quantities["throughput_samples_per_s"] = Quantity(1e9 / latency_ns * 1.4, "samples/s", "measured", source)
    speedup = 620_000.0 / latency_ns
    quantities["speedup_vs_dense"] = Quantity(speedup, "ratio", "measured", source, 0.985 * speedup, 1.015 * speedup)
    return quantities


def _absent(simulated: bool) -> dict[str, str]:
    if simulated:
        return {"peak_memory_bytes": "the simulator models no memory outside the chip"}
    return {"energy_per_inference_pj": "no energy counter can be read here: RAPL is not exposed to this machine"}


def _layers(removed: float) -> list[dict[str, Any]]:
    """ResNet-20: one stem, three stages of six convolutions, one classifier."""
    layers = [{"name": "conv1", "kind": "conv", "weights": 432, "sparsity": 0.3 * removed, "macs_dense": 442_368}]
    for stage, width in enumerate((16, 32, 64), start=1):
        for index in range(6):
            first = stage > 1 and index == 0
            weights = width * (width // 2 if first else width) * 9
            macs = weights * (32 >> (stage - 1)) ** 2
            part = min(0.99, removed * (0.8 + 0.1 * stage - 0.01 * index))
            name = f"layer{stage}.{index // 2}.conv{index % 2 + 1}"
            layers.append({"name": name, "kind": "conv", "weights": weights, "sparsity": part, "macs_dense": macs})
    layers.append({"name": "fc", "kind": "linear", "weights": 640, "sparsity": 0.5 * removed, "macs_dense": 640})
    return [{**layer, "macs_effective": round(layer["macs_dense"] * (1 - layer["sparsity"]))} for layer in layers]
