"""From the raw results of the measuring process to quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from hw_targets.energy import modelled_energy
from hw_targets.statistics import Estimate, median_interval, quantile, thin
from hw_targets.target import Quantity
from hw_targets.technology import technology
from hw_targets.trace import LayerTrace, trace
from hw_targets.weights import compression_ratio, removed_fraction, sizes

SAMPLES_KEPT = 20_000
OTHERS_LIMIT = 0.10  # of all cores, kept busy by other processes
SPREAD_LIMIT = 0.10  # (greatest − least) / median of the rounds' median latencies


@dataclass(frozen=True)
class Timed:
    """The part of a measurement that was timed."""

    quantities: dict[str, Quantity]
    samples: dict[str, list[float]]
    conditions: dict[str, Any]
    noisy: str | None


def timed(result: Mapping[str, Any], device: str) -> Timed:
    """Latency percentiles over all rounds, and speedups as medians over the rounds' ratios.

    A ratio compares the two models in the same round, so that a machine that gets slower slows
    both; its interval is that of a median of as many values as there are rounds.
    """
    rounds = result["rounds"]
    latencies = {name: _by_round(rounds, name, "SingleStream", "latencies_ns") for name in ("entry", "dense")}
    throughput = {
        name: np.array(_by_round(rounds, name, "Offline", "samples_per_s"), float) for name in ("entry", "dense")
    }
    medians = {name: np.array([np.median(each) for each in of]) for name, of in latencies.items()}
    every = {name: np.concatenate([np.asarray(each, float) for each in of]) for name, of in latencies.items()}
    single = f"{device}; MLPerf LoadGen SingleStream, time around the inference in issue_query"
    offline = f"{device}; MLPerf LoadGen Offline"
    quantities = {
        f"latency_p{percent}_ns": _measured(quantile(every["entry"], percent / 100), "ns", single)
        for percent in (50, 90, 99)
    }
    quantities["speedup_vs_dense"] = _measured(
        median_interval(medians["dense"] / medians["entry"]), "×", f"{single}; medians, paired by round"
    )
    quantities["throughput_samples_per_s"] = _measured(median_interval(throughput["entry"]), "1/s", offline)
    quantities["throughput_speedup_vs_dense"] = _measured(
        median_interval(throughput["entry"] / throughput["dense"]), "×", f"{offline}; paired by round"
    )
    spread = {name: float(np.ptp(of) / np.median(of)) for name, of in medians.items()}
    conditions = {
        "rounds": len(medians["entry"]),
        "queries": int(every["entry"].size),
        "latency_samples_kept": min(int(every["entry"].size), SAMPLES_KEPT),
        "load": {
            "other_processes_share_of_cores": result["other_load"],
            "load_average_before": list(result["load_average_before"]),
        },
        "offline_runs_repeated": sum(each.get("repeated", False) for each in rounds),
        "spread_of_round_medians": spread,
        "loadgen_p50_ns": _by_round(rounds, "entry", "SingleStream", "loadgen_p50_ns"),
        "loadgen_p90_ns": _by_round(rounds, "entry", "SingleStream", "loadgen_p90_ns"),
    }
    samples = {
        "latency_ns": thin(every["entry"], SAMPLES_KEPT).tolist(),
        "dense_latency_ns": thin(every["dense"], SAMPLES_KEPT).tolist(),
    }
    return Timed(quantities, samples, conditions, noise(result["other_load"], spread))


def noise(other_load: float, spread: Mapping[str, float]) -> str | None:
    """Why the times should not be trusted much, or None.

    The rule: other processes kept more than 10 % of all cores busy, or the rounds' median
    latencies of a model lie more than 10 % apart (greatest − least, over their median).
    """
    reasons = []
    if other_load > OTHERS_LIMIT:
        reasons.append(f"other processes used {other_load:.0%} of the cores (limit {OTHERS_LIMIT:.0%})")
    for name, value in spread.items():
        if value > SPREAD_LIMIT:
            reasons.append(
                f"median latencies of {name} differ by {value:.0%} between rounds (limit {SPREAD_LIMIT:.0%})"
            )
    return "; ".join(reasons) or None


def counted(
    model: onnx.ModelProto, dense: onnx.ModelProto, sample: np.ndarray, result: Mapping[str, Any]
) -> tuple[dict[str, Quantity], dict[str, str], list[LayerTrace], list[LayerTrace]]:
    """Sizes and operations, and the energy: measured if the machine has counters, else modelled.

    Sizes are `measured`: bytes and weights of the very file. Operations are `modelled`: they
    follow from shapes, whatever the runtime makes of them.

    Raises:
        GraphError: a layer is not understood.
    """
    size, dense_size = sizes(model), sizes(dense)
    traces, dense_traces = trace(model, sample), trace(dense, sample)
    file = "counted in the ONNX file"
    quantities = {
        "parameters": Quantity(float(size.parameters), "1", "measured", file),
        "weights_bytes": Quantity(float(size.bytes_stored), "bytes", "measured", file),
        "weights_bytes_dense": Quantity(float(size.bytes_dense), "bytes", "measured", f"{file}, 4 bytes a parameter"),
        "weights_encoded_bytes": Quantity(
            float(size.bytes_encoded), "bytes", "measured", f"{file}, each layer in its smallest lossless format"
        ),
        "weights_nonzero": Quantity(float(size.nonzero), "1", "measured", file),
        "macs_dense": Quantity(float(sum(t.macs_dense for t in traces)), "1", "modelled", "layer shapes, one sample"),
        "macs_effective": Quantity(
            float(sum(t.macs_effective for t in traces)), "1", "modelled", "non-zero weights × positions, one sample"
        ),
    }
    absent = {}
    against = "non-zero weights of the layers that multiply, against all of the dense model's"
    for name, unit, of in (
        ("weights_removed_fraction", "1", removed_fraction),
        ("compression_ratio", "×", compression_ratio),
    ):
        try:
            quantities[name] = Quantity(of(size, dense_size), unit, "measured", against)
        except ValueError as error:
            absent[name] = str(error)
    if result["energy_pj"] is not None:
        source = "zeus, energy counters of the processor packages, idle cores included"
        quantities["energy_per_inference_pj"] = Quantity(result["energy_pj"], "pJ", "measured", source)
    else:
        quantities["energy_per_inference_pj"] = modelled_energy(
            traces, size.bytes_stored, technology(), result["energy_absent"]
        )
    return quantities, absent, traces, dense_traces


def layer_rows(traces: Sequence[LayerTrace], dense: Sequence[LayerTrace]) -> tuple[dict[str, Any], ...]:
    """One row a layer; the dense model's layer of the same name beside it, where there is one."""
    of_dense = {layer.name: layer for layer in dense}
    rows = []
    for layer in traces:
        row: dict[str, Any] = {"name": layer.name, "kind": layer.kind}
        if layer.weight is not None:
            row["weight_shape"] = list(layer.weight.shape)
            row["sparsity"] = 1 - int(np.count_nonzero(layer.weight)) / layer.weight.size
        row |= {"macs_dense": layer.macs_dense, "macs_effective": layer.macs_effective}
        other = of_dense.get(layer.name)
        if other is not None:
            row["dense_macs"] = other.macs_dense
            if other.weight is not None:
                row["dense_weight_shape"] = list(other.weight.shape)
        rows.append(row)
    return tuple(rows)


def _by_round(rounds: Sequence[Mapping[str, Any]], model: str, scenario: str, field: str) -> list[Any]:
    found = [each for each in rounds if each["model"] == model and each["scenario"] == scenario]
    return [each[field] for each in sorted(found, key=lambda each: each["round"])]


def _measured(estimate: Estimate, unit: str, source: str) -> Quantity:
    return Quantity(estimate.value, unit, "measured", source, estimate.low, estimate.high)
