"""How large a model is, and how much was taken away: counted from the ONNX file, never from a mask.

Three sizes answer three questions. `bytes_stored` is what the file holds. `bytes_encoded` is what
the same weights need when each layer is stored without loss in its smallest format
(`hw_targets.formats`). `bytes_dense` is what they need at four bytes a parameter.

What was removed is counted in non-zero weights of the layers that multiply, against all weights of
the dense model's layers: a mask and a channel that is gone count alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from hw_targets.formats import smallest_encoding
from hw_targets.graph import ComputeNode, Graph, compute_nodes
from hw_targets.integers import with_real_products
from hw_targets.trace import stored_bits

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)


@dataclass(frozen=True)
class LayerSize:
    """One layer's weight.

    Attributes:
        weights, nonzero: counts.
        encoding: its smallest lossless format.
        bits_encoded: in that format, with its codebook or scales.
    """

    name: str
    shape: tuple[int, ...]
    weights: int
    nonzero: int
    encoding: str
    bits_encoded: int


@dataclass(frozen=True)
class Sizes:
    """A model's size. A weight that several layers share counts once.

    Attributes:
        layers: those that multiply by weights.
        weights, nonzero: sums over the layers.
        parameters: the layers' weights and all other floats among the initialisers: biases, and the
            four tensors of a batch norm.
        bytes_stored: of all tensors in the file, each in its own type.
        bytes_dense: 4 · `parameters`.
        bytes_encoded: the layers as encoded, all other tensors as stored.
    """

    layers: tuple[LayerSize, ...]
    weights: int
    nonzero: int
    parameters: int
    bytes_stored: int
    bytes_dense: int
    bytes_encoded: int


def sizes(model: onnx.ModelProto) -> Sizes:
    """Count the weights of `model`.

    Raises:
        GraphError: a layer is not understood.
        ValueError: a weight is NaN or infinite.
    """
    model = with_real_products(model)
    graph = Graph(model)
    layers: list[LayerSize] = []
    roots: set[str] = set()
    for compute in compute_nodes(model):
        if compute.weight is not None and not roots.issuperset(compute.weight.roots):
            layers.append(_layer(compute))
            roots.update(compute.weight.roots)
    others = [tensor for name, tensor in graph.stored.items() if name not in roots]
    weights = sum(layer.weights for layer in layers)
    parameters = weights + sum(
        _elements(tensor)
        for tensor in model.graph.initializer
        if tensor.name not in roots and tensor.data_type in FLOATS
    )
    encoded = (sum(layer.bits_encoded for layer in layers) + 7) // 8
    return Sizes(
        layers=tuple(layers),
        weights=weights,
        nonzero=sum(layer.nonzero for layer in layers),
        parameters=parameters,
        bytes_stored=sum(map(_bytes, graph.stored.values())),
        bytes_dense=4 * parameters,
        bytes_encoded=encoded + sum(map(_bytes, others)),
    )


def removed_fraction(model: Sizes, dense: Sizes) -> float:
    """1 − non-zero weights of `model` / weights of `dense`, both of the layers that multiply.

    Raises:
        ValueError: `dense` has no such weights.
    """
    if dense.weights == 0:
        raise ValueError("The dense model has no layer with weights, so no fraction of them can be removed.")
    return 1 - model.nonzero / dense.weights


def compression_ratio(model: Sizes, dense: Sizes) -> float:
    """Weights of `dense` / non-zero weights of `model`, both of the layers that multiply.

    Raises:
        ValueError: `model` has no non-zero weight.
    """
    if model.nonzero == 0:
        raise ValueError("The model has no non-zero weight, so its compression ratio is not a number.")
    return dense.weights / model.nonzero


def _layer(compute: ComputeNode) -> LayerSize:
    weight = compute.weight
    assert weight is not None
    bits, overhead = stored_bits(weight.stored_dtype), 0
    if weight.codebook is not None:
        entries = np.unique(weight.codebook)
        if not weight.values.all():  # sparse, perhaps: a code for zero, which padding entries need
            entries = np.union1d(entries, 0)
        bits, overhead = (entries.size - 1).bit_length(), 32 * entries.size
    if weight.scale is not None:
        overhead += 32 * weight.scale.size
    encoding, encoded = smallest_encoding(weight.values, bits)
    nonzero = int(np.count_nonzero(weight.values))
    return LayerSize(compute.name, weight.values.shape, weight.values.size, nonzero, encoding, encoded + overhead)


def _elements(tensor: onnx.TensorProto) -> int:
    return int(np.prod(tensor.dims, dtype=np.int64))


def _bytes(tensor: onnx.TensorProto) -> int:
    return (_elements(tensor) * stored_bits(tensor.data_type) + 7) // 8
