"""The CPU target: what a user of ONNX Runtime on this machine would see."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hw_targets.cpu.optimised import arithmetic, integer_share, with_arithmetic
from hw_targets.cpu.runner import median_latency_ns
from hw_targets.cpu.settings import CpuOptions
from hw_targets.energy import modelled_energy
from hw_targets.graph.counts import Counts, count, layer_rows
from hw_targets.graph.onnx_graph import GraphError
from hw_targets.measuring.child import Outcome, run_job
from hw_targets.measuring.effort import SETTINGS
from hw_targets.measuring.findings import timed
from hw_targets.measuring.processor import processor_name
from hw_targets.target import Available, Effort, Measurement, Quantity, TargetError, Unavailable
from hw_targets.technology import technology


class CpuTarget:
    """ONNX Runtime in the types that a model is stored in, driven by MLPerf LoadGen in a process of its own."""

    name = "cpu"
    OPTIONS = CpuOptions

    @staticmethod
    def quick_latency_ns(model: onnx.ModelProto, sample: np.ndarray) -> float:
        """See `hw_targets.registry.quick_latency_ns`."""
        return median_latency_ns(model, sample)

    def __init__(self, options: CpuOptions | None = None) -> None:
        self.options = options or CpuOptions()

    def configuration(self) -> Mapping[str, Any]:
        """Threads and optimisation level."""
        return asdict(self.options)

    def availability(self) -> Available | Unavailable:
        """Available wherever ONNX Runtime and LoadGen can be imported."""
        try:
            import mlperf_loadgen  # noqa: F401
            import onnxruntime
        except ImportError as error:
            return Unavailable(f"The CPU target needs onnxruntime and mlcommons-loadgen: {error}")
        return Available(f"{processor_name()}, ONNX Runtime {onnxruntime.__version__}")

    def numerics(self, model: onnx.ModelProto, calibration: np.ndarray) -> onnx.ModelProto:
        """The model itself: it runs here in the types it is stored in."""
        return model

    def measure(
        self, model: onnx.ModelProto, dense: onnx.ModelProto, samples: np.ndarray, effort: Effort, workdir: Path
    ) -> Measurement:
        """Latency, throughput, memory, size, operations and energy; see `hw_targets.target.Target.measure`."""
        if effort not in SETTINGS:
            raise ValueError(f"There is no effort {effort!r}. Known: {', '.join(SETTINGS)}.")
        settings = SETTINGS[effort]
        if len(samples) == 0:
            raise ValueError("Measuring needs at least one sample.")
        with tempfile.TemporaryDirectory(prefix="openprune-models-") as folder:
            job = self._job(model, dense, samples, Path(folder), workdir)
            result = run_job({**job, "mode": "measure", "settings": asdict(settings)}, settings.timeout_s)
            memory = _memory(job, settings.timeout_s)
        times = timed(result, self.availability_detail(), settings.precision)
        try:
            counts = count(model, dense, samples[:1])
            how = arithmetic(model, self.options)
        except GraphError as error:
            raise TargetError(f"The model runs, but its layers cannot be counted: {error}") from error
        energy = _energy(result, counts)
        return Measurement(
            quantities={
                **times.quantities,
                **({"peak_memory_bytes": memory} if isinstance(memory, Quantity) else {}),
                **counts.quantities,
                "macs_integer_fraction": integer_share(counts.traces, how),
                "energy_per_inference_pj": energy,
            },
            absent={
                **times.absent,
                **counts.absent,
                **({"peak_memory_bytes": memory} if isinstance(memory, str) else {}),
            },
            samples=times.samples,
            artifacts=tuple(
                sorted(str(p.relative_to(workdir)) for p in (workdir / "loadgen").rglob("*") if p.is_file())
            ),
            noisy=times.noisy,
            conditions={
                **self.configuration(),
                "threads": self.options.intra_threads,
                "effort": effort,
                "settings": asdict(settings),
                **times.conditions,
            },
            layers=with_arithmetic(layer_rows(counts.traces, counts.dense_traces, counts.unattributed), how),
        )

    def availability_detail(self) -> str:
        """The device in words, for the source of what is measured.

        Raises:
            TargetError: the target is not available.
        """
        found = self.availability()
        if isinstance(found, Unavailable):
            raise TargetError(found.reason)
        return found.detail

    def _job(
        self, model: onnx.ModelProto, dense: onnx.ModelProto, samples: np.ndarray, folder: Path, workdir: Path
    ) -> dict[str, Any]:
        onnx.save(model, folder / "entry.onnx")
        onnx.save(dense, folder / "dense.onnx")
        np.save(folder / "samples.npy", np.ascontiguousarray(samples))
        return {
            "entry": str(folder / "entry.onnx"),
            "dense": str(folder / "dense.onnx"),
            "samples": str(folder / "samples.npy"),
            "machine": "hw_targets.cpu.runner:Processor",
            "options": asdict(self.options),
            "logs": str((workdir / "loadgen").absolute()),
        }


def _memory(job: Mapping[str, Any], timeout_s: float) -> Quantity | str:
    """What the model takes, or why that is not known."""
    found = [run_job({**job, "mode": "memory", **of}, timeout_s) for of in ({}, {"entry": None})]
    with_model, empty = (of.value("peak_bytes") for of in found)
    if with_model is None or empty is None:
        return next(of.unfinished for of in found if of.unfinished) or "nothing was found"
    source = "peak resident memory of a process that runs the model, less that of an empty one"
    return Quantity(float(max(with_model - empty, 0)), "bytes", "measured", source)


def _energy(outcome: Outcome, counts: Counts) -> Quantity:
    """Of one inference: measured if the machine has counters, else modelled."""
    if (measured := outcome.value("energy_pj")) is not None:
        source = "zeus, energy counters of the processor packages, idle cores included"
        return Quantity(measured, "pJ", "measured", source)
    stored = int(counts.quantities["weights_bytes"].value)
    reason = outcome.value("energy_absent") or outcome.unfinished or "nothing was found"
    return modelled_energy(counts.traces, stored, technology(), reason)
