"""What every target counts in the file: sizes, weights removed, operations, and a row for each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from hw_targets.graph.trace import LayerTrace, trace
from hw_targets.graph.weights import Sizes, beyond, compression_ratio, kept, removed_fraction, sizes
from hw_targets.target import Quantity


@dataclass(frozen=True)
class Counts:
    """What was counted.

    Attributes:
        quantities, absent: as in `Measurement`.
        traces, dense_traces: of the two models on one sample.
        unattributed: stored tensor → its numbers that are in no layer and count as weights kept.
    """

    quantities: Mapping[str, Quantity]
    absent: Mapping[str, str]
    traces: Sequence[LayerTrace]
    dense_traces: Sequence[LayerTrace]
    unattributed: Mapping[str, int]


def count(model: onnx.ModelProto, dense: onnx.ModelProto, sample: np.ndarray) -> Counts:
    """Count `model`, against `dense` where a figure needs it.

    Sizes are `measured`: bytes and weights of the very file. Operations are `modelled`: they
    follow from shapes, whatever a machine makes of them.

    Args:
        sample: one input, `[1, …]`.

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
        **_numbers(size, dense_size),
        "macs_dense": Quantity(float(sum(t.macs_dense for t in traces)), "1", "modelled", "layer shapes, one sample"),
        "macs_effective": Quantity(
            float(sum(t.macs_effective for t in traces)), "1", "modelled", "non-zero weights × positions, one sample"
        ),
    }
    absent = {}
    against = "weights kept: non-zero ones of layers, and what is no layer's; against all of the dense model's"
    for name, unit, of in (
        ("weights_removed_fraction", "1", removed_fraction),
        ("compression_ratio", "×", compression_ratio),
    ):
        try:
            quantities[name] = Quantity(of(size, dense_size), unit, "measured", against)
        except ValueError as error:
            absent[name] = str(error)
    return Counts(quantities, absent, traces, dense_traces, size.unattributed)


def _numbers(size: Sizes, dense: Sizes) -> dict[str, Quantity]:
    """What the file's numbers are there for; the five of them that are stored sum to all that it holds."""
    stored, met = "numbers stored in the ONNX file", "counted in the ONNX file, against the dense model's"
    return {
        "weights_kept": Quantity(float(kept(size, dense)), "1", "measured", met),
        "parameters_beyond_dense": Quantity(float(beyond(size, dense)), "1", "measured", f"outside layers; {met}"),
        "numbers_in_layers": Quantity(float(size.numbers.layers), "1", "measured", stored),
        "numbers_in_other_parameters": Quantity(float(size.numbers.other), "1", "measured", stored),
        "numbers_in_shapes": Quantity(float(size.numbers.shapes), "1", "measured", stored),
        "numbers_unattributed": Quantity(float(size.numbers.unattributed), "1", "measured", stored),
        "numbers_unused": Quantity(float(size.numbers.unused), "1", "measured", stored),
    }


def layer_rows(
    traces: Sequence[LayerTrace], dense: Sequence[LayerTrace], unattributed: Mapping[str, int] | None = None
) -> tuple[dict[str, Any], ...]:
    """One row a layer; the dense model's layer of the same name beside it, where there is one.

    Args:
        unattributed: stored tensors that are in no layer and count as weights kept; a row each, the last ones.
    """
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
    for name, numbers in (unattributed or {}).items():
        rows.append({"name": name, "kind": "unattributed", "weights": numbers, "weights_nonzero": numbers})
    return tuple(rows)
