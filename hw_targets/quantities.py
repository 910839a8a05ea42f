"""The standard quantities: name → unit, label and meaning, in one place for all targets and all readers.

A name ends in its unit. What a target finds beyond these, it declares itself, as `QUANTITIES` of its class.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Kind:
    """What a quantity is.

    Attributes:
        unit: as in the record; `1` for plain numbers, `×` for ratios.
        better: which way is an improvement; None where neither is.
    """

    unit: str
    label: str
    meaning: str
    better: Literal["less", "more"] | None = None


QUANTITIES: Mapping[str, Kind] = {
    "latency_p50_ns": Kind("ns", "Latency, median", "Time of one sample alone, half of the times.", "less"),
    "latency_p90_ns": Kind("ns", "Latency, 90th percentile", "Time of one sample alone, nine times of ten.", "less"),
    "latency_p99_ns": Kind("ns", "Latency, 99th percentile", "Time of one sample alone, 99 times of 100.", "less"),
    "throughput_samples_per_s": Kind("1/s", "Throughput", "Samples a second, all there at once.", "more"),
    "speedup_vs_dense": Kind("×", "Speed-up against dense", "The dense network's latency over this one's.", "more"),
    "throughput_speedup_vs_dense": Kind("×", "Throughput against dense", "Throughput over the dense one's.", "more"),
    "energy_per_inference_pj": Kind("pJ", "Energy per inference", "Of one sample alone.", "less"),
    "energy_vs_dense": Kind("×", "Energy against dense", "This network's energy over the dense one's.", "less"),
    "inferences_per_joule": Kind("1/J", "Inferences per joule", "One over the energy of an inference.", "more"),
    "power_w": Kind("W", "Power", "Energy of an inference over its time."),
    "peak_memory_bytes": Kind("bytes", "Peak memory", "What running the model adds to an empty process.", "less"),
    "weights_bytes": Kind("bytes", "Weights, as stored", "All numbers in the ONNX file, in their types.", "less"),
    "weights_bytes_dense": Kind("bytes", "Weights, dense", "The same of the dense network's file."),
    "weights_encoded_bytes": Kind("bytes", "Weights, encoded", "Each layer in its smallest known format.", "less"),
    "weights_eie_bytes": Kind("bytes", "Weights in EIE's format", "Codes, relative indexes and pointers.", "less"),
    "weights_removed_fraction": Kind("1", "Weights removed", "The share of the dense layers that is gone.", "more"),
    "weights_nonzero": Kind("1", "Weights, non-zero", "Of all layers.", "less"),
    "weights_kept": Kind("1", "Weights kept", "Non-zero ones of layers, and what no layer accounts for.", "less"),
    "compression_ratio": Kind("×", "Compression", "Weights of the dense network over weights kept.", "more"),
    "parameters": Kind("1", "Parameters", "All stored numbers that are learned.", "less"),
    "parameters_beyond_dense": Kind("1", "Other numbers beyond dense", "Outside layers, more than dense.", "less"),
    "numbers_in_layers": Kind("1", "Stored numbers, layers", "That belong to a layer's weights."),
    "numbers_in_other_parameters": Kind("1", "Stored numbers, other parameters", "Biases, normalisation, tables."),
    "numbers_in_shapes": Kind("1", "Stored numbers, shapes", "That say how tensors are cut and joined."),
    "numbers_unattributed": Kind("1", "Stored numbers, unattributed", "In none of these; they count as kept.", "less"),
    "numbers_unused": Kind("1", "Stored numbers, unused", "That nothing reads.", "less"),
    "macs_dense": Kind("1", "MACs, dense", "Multiply-accumulates of one sample, zeros included.", "less"),
    "macs_effective": Kind("1", "MACs, effective", "Those whose weight is not zero.", "less"),
    "macs_integer_fraction": Kind("1", "MACs in integers", "The share of MACs that the runtime does in integers."),
    "macs_accelerated_fraction": Kind("1", "MACs on the accelerator", "The rest is the host's, and not timed.", "more"),
    "cycles": Kind("1", "Cycles", "Of one inference, mean over samples.", "less"),
    "load_balance_efficiency": Kind("1", "Load balance", "Work of the mean element over that of the busiest.", "more"),
    "queue_stalled_fraction": Kind("1", "Stalled by full queues", "Of all cycles.", "less"),
    "padding_fraction": Kind("1", "Padding zeros", "Of all stored entries.", "less"),
    "energy_weight_read_pj": Kind("pJ", "Energy, weights", "Reading weights and indexes.", "less"),
    "energy_pointer_read_pj": Kind("pJ", "Energy, pointers", "Reading where columns begin.", "less"),
    "energy_activation_access_pj": Kind("pJ", "Energy, activations", "Reading and writing activations.", "less"),
    "energy_activation_queue_pj": Kind("pJ", "Energy, queues", "Activations that wait.", "less"),
    "energy_arithmetic_pj": Kind("pJ", "Energy, arithmetic", "Multiplying and adding.", "less"),
    "energy_nonzero_detection_pj": Kind("pJ", "Energy, finding non-zeros", "In the activations.", "less"),
    "energy_clock_pj": Kind("pJ", "Energy, clock", "Clock network and filler cells.", "less"),
    "energy_dram_pj": Kind("pJ", "Energy, DRAM", "For what the memories do not hold.", "less"),
}  # fmt: skip


def unknown_quantities(names: Iterable[str], own: Mapping[str, Kind]) -> dict[str, str]:
    """Those of `names` that are neither standard nor a target's own → the nearest known name, or an empty text."""
    known = [*QUANTITIES, *own]
    strange = [name for name in names if name not in known]
    return {name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.4)), "") for name in strange}
