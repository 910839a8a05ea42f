"""EIE as a target: quality on its numbers, time and energy from the simulator."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hw_targets.eie.config import EieConfig
from hw_targets.eie.energy import COMPONENTS, area_mm2, prices
from hw_targets.eie.network import LayerActivity, NetworkActivity, simulate_network
from hw_targets.eie.session import EieSession
from hw_targets.graph.counts import count, layer_rows
from hw_targets.measuring.statistics import quantile
from hw_targets.target import Available, Effort, Measurement, ModelRefused, Quantity, TargetError, Unavailable

SAMPLES: dict[Effort, int] = {"quick": 16, "standard": 100, "official": 256}
SESSIONS_KEPT = 2  # the dense reference's and one entry's
SIMULATED = "EIE simulator, exact to the cycle (Han et al. 2016, arXiv 1602.01528)"


class EieTarget:
    """The accelerator's matrices by simulation; everything else is the host's, and not timed."""

    name = "eie"
    OPTIONS = EieConfig

    @staticmethod
    def quick_latency_ns(model: onnx.ModelProto, sample: np.ndarray) -> float:
        """See `hw_targets.registry.quick_latency_ns`."""
        times = simulate_network(model, EieSession(model, sample), sample[:4]).time_s
        return float(sorted(times)[len(times) // 2]) * 1e9

    def __init__(self, config: EieConfig | None = None) -> None:
        self.config = config or EieConfig()
        self._sessions: dict[bytes, EieSession] = {}

    def configuration(self) -> Mapping[str, Any]:
        """The machine."""
        return asdict(self.config)

    def availability(self) -> Available | Unavailable:
        """Everywhere: it is simulated."""
        c = self.config
        return Available(f"simulated: {c.pe_count} processing elements at {c.clock_hz / 1e6:g} MHz, 45 nm")

    def numerics(self, model: onnx.ModelProto, calibration: np.ndarray) -> EieSession:
        """The model with its weights in codebooks and its activations in 16-bit fixed point.

        Raises:
            ModelRefused: EIE cannot hold or run it; says which layer and why.
        """
        try:
            return self._session(model, calibration)
        except ValueError as error:
            raise ModelRefused(f"EIE does not run this model: {error}") from error

    def _session(self, model: onnx.ModelProto, calibration: np.ndarray) -> EieSession:
        """The session of this model on these samples: what was judged is what is measured, fitted once."""
        key = hashlib.sha256(model.SerializeToString(deterministic=True) + calibration.tobytes()).digest()
        if key not in self._sessions:
            if len(self._sessions) == SESSIONS_KEPT:
                self._sessions.pop(next(iter(self._sessions)))
            self._sessions[key] = EieSession(model, calibration, self.config)
        return self._sessions[key]

    def measure(
        self, model: onnx.ModelProto, dense: onnx.ModelProto, samples: np.ndarray, effort: Effort, workdir: Path
    ) -> Measurement:
        """Time, energy and balance over real samples; see `hw_targets.target.Target.measure`.

        Raises:
            ModelRefused: the model cannot be simulated; says why.
            TargetError: the dense reference cannot.
        """
        if effort not in SAMPLES:
            raise ValueError(f"There is no effort {effort!r}. Known: {', '.join(SAMPLES)}.")
        if len(samples) == 0:
            raise ValueError("Measuring needs at least one sample.")
        shown = samples[: SAMPLES[effort]]
        try:
            of_dense = simulate_network(dense, self._session(dense, samples), shown)
        except ValueError as error:
            raise TargetError(f"The dense reference cannot be simulated: {error}") from error
        try:
            entry = simulate_network(model, self._session(model, samples), shown)
            counts = count(model, dense, samples[:1])
        except ValueError as error:
            raise ModelRefused(f"EIE cannot simulate this model: {error}") from error
        rows = {layer.trace.name: layer for layer in entry.layers}
        absent = {"peak_memory_bytes": "EIE's memories are fixed; what the layers take of them is in weights_eie_bytes"}
        return Measurement(
            quantities={**_quantities(entry, of_dense), **counts.quantities},
            absent={**absent, **counts.absent},
            samples={
                "latency_ns": (entry.time_s * 1e9).tolist(),
                "dense_latency_ns": (of_dense.time_s * 1e9).tolist(),
                "energy_pj": _total(entry).tolist(),
            },
            conditions={
                **self.configuration(),
                "effort": effort,
                "simulated_samples": len(shown),
                "dram_bits": sum(layer.dram_bits for layer in entry.layers),
                "dense_dram_bits": sum(layer.dram_bits for layer in of_dense.layers),
                "area_mm2": area_mm2(self.config),
            },
            layers=tuple(
                row if row["name"] not in rows else row | _layer_row(rows[row["name"]], self.config)
                for row in layer_rows(counts.traces, counts.dense_traces, counts.unattributed)
            ),
        )


def _quantities(entry: NetworkActivity, dense: NetworkActivity) -> dict[str, Quantity]:
    times, energy = entry.time_s, _total(entry)
    host = f"; the matrices' share alone, {entry.macs_share:.1%} of the MACs: the host's is not timed"
    timed = SIMULATED + (host if entry.macs_share < 1 else "; layers that multiply, the host's work is not timed")
    if any(layer.dram_bits for network in (entry, dense) for layer in network.layers):
        timed += f"; what does not fit waits for DRAM, assumed at {entry.config.dram_bytes_per_cycle:g} bytes a cycle"
    paid = f"{prices().source}; {SIMULATED}"

    def simulated(value: float, unit: str, source: str = timed) -> Quantity:
        return Quantity(float(value), unit, "simulated", source)

    return {
        **{f"latency_p{percent}_ns": _percentile(times, percent, timed) for percent in (50, 90, 99)},
        "cycles": simulated(entry.cycles.mean(), "1"),
        "speedup_vs_dense": simulated(np.median(dense.time_s) / np.median(times), "×"),
        "throughput_samples_per_s": simulated(1 / times.mean(), "1/s"),
        "load_balance_efficiency": simulated(entry.load_balance_efficiency, "1"),
        "queue_stalled_fraction": simulated(entry.stalled_share, "1"),
        "padding_fraction": simulated(entry.padding_fraction, "1"),
        "macs_accelerated_fraction": simulated(entry.macs_share, "1"),
        "weights_eie_bytes": simulated(entry.weights_bits / 8, "bytes", "codes, relative indexes, pointers"),
        "energy_per_inference_pj": simulated(energy.mean(), "pJ", paid),
        "energy_vs_dense": simulated(energy.mean() / _total(dense).mean(), "×", paid),
        **{f"energy_{component}_pj": simulated(of.mean(), "pJ", paid) for component, of in entry.energy_pj.items()},
        "inferences_per_joule": simulated(1e12 / energy.mean(), "1/J", paid),
        "power_w": simulated(energy.mean() * 1e-12 / times.mean(), "W", paid),
    }


def _percentile(times_s: np.ndarray, percent: int, source: str) -> Quantity:
    """Over the samples, each of which has its own zeros, with the interval of such a draw."""
    found = quantile(times_s * 1e9, percent / 100)
    return Quantity(found.value, "ns", "simulated", source, found.low, found.high)


def _total(activity: NetworkActivity) -> np.ndarray:
    """Energy of each sample, in pJ."""
    return np.sum([activity.energy_pj[component] for component in COMPONENTS], axis=0)


def _layer_row(layer: LayerActivity, config: EieConfig) -> dict[str, Any]:
    """A layer's columns in the record: means over the samples."""
    cycles = float(layer.activity.cycles.mean())
    return {
        "cycles": cycles,
        "load_balance_efficiency": float(layer.activity.entries.mean()) / config.pe_count / cycles,
        "queue_stalled_fraction": float(layer.activity.stalled.mean()) / cycles,
        "padding_fraction": layer.layout.padding_fraction,
        "dram_bits": layer.dram_bits,
        "energy_pj": {component: float(of.mean()) for component, of in layer.energy_pj.items()},
        "pe_busy_cycles": [round(each, 1) for each in layer.work.tolist()],
    }
