"""What every target counts in the file: sizes, weights removed, operations, and a row for each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from hw_targets.target import Quantity
from hw_targets.trace import LayerTrace, trace
from hw_targets.weights import compression_ratio, removed_fraction, sizes


@dataclass(frozen=True)
class Counts:
    """What was counted.

    Attributes:
        quantities, absent: as in `Measurement`.
        traces, dense_traces: of the two models on one sample.
    """

    quantities: Mapping[str, Quantity]
    absent: Mapping[str, str]
    traces: Sequence[LayerTrace]
    dense_traces: Sequence[LayerTrace]


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
    return Counts(quantities, absent, traces, dense_traces)


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
