"""How large a model is, and how much was taken away: counted from the ONNX file, never from a mask.

Three sizes answer three questions. `bytes_stored` is what the file holds. `bytes_encoded` is what
the same weights need when each layer is stored without loss in its smallest format
(`hw_targets.formats`). `bytes_dense` is what they need at four bytes a parameter.

What was removed is counted in non-zero weights of the layers that multiply, against all weights of
the dense model's layers: a mask and a channel that is gone count alike. No stored number escapes:
what cannot be attributed was kept, and so was all outside the layers beyond what the dense model has
there, or a weight could be removed by giving it another name (decision 012).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from hw_targets.formats import smallest_encoding
from hw_targets.graph.attribution import Attribution, Numbers, attribute
from hw_targets.graph.distinct import distinct_weights
from hw_targets.graph.integers import with_real_products
from hw_targets.graph.onnx_graph import ComputeNode, Graph, compute_nodes
from hw_targets.graph.trace import stored_bits

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)


@dataclass(frozen=True)
class LayerSize:
    """One layer's weight.

    Attributes:
        weights, nonzero: counts, without those that an earlier layer has.
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
        layers: those that multiply by weights of their own.
        weights, nonzero: sums over the layers.
        unattributed: stored tensor → its numbers that products of activations multiply by.
        tables, others, shapes: numbers outside the layers that are looked up, all others, and such as lay values
            out or pick them, each time that they meet activations (see `outside.numbers_outside`).
        numbers: all that the file stores, by what it is there for.
        parameters: the layers' weights and all other floats: biases, and the four tensors of a batch
            norm; no single numbers that nothing but a graph's arithmetic needs.
        bytes_stored: of all tensors in the file, each in its own type.
        bytes_dense: 4 · `parameters`.
        bytes_encoded: the layers as encoded, all other numbers as stored.
    """

    layers: tuple[LayerSize, ...]
    weights: int
    nonzero: int
    unattributed: Mapping[str, int]
    tables: int
    others: int
    shapes: int
    numbers: Numbers
    parameters: int
    bytes_stored: int
    bytes_dense: int
    bytes_encoded: int

    @property
    def weights_and_unattributed(self) -> int:
        """All that counts as weights."""
        return self.weights + sum(self.unattributed.values())


def sizes(model: onnx.ModelProto) -> Sizes:
    """Count the weights of `model`.

    Raises:
        GraphError: a layer is not understood, or a stored tensor's part in a product; names it.
        ValueError: a weight is NaN or infinite.
    """
    model = with_real_products(model)
    graph = Graph(model)
    computes = compute_nodes(model, graph)
    found = attribute(graph, computes)
    layers = tuple(_layer(*each) for each in distinct_weights(graph, computes))
    weights = sum(layer.weights for layer in layers)
    parameters = weights + _floats(model, graph, found)
    encoded = (sum(layer.bits_encoded for layer in layers) + 7) // 8
    return Sizes(
        layers=layers,
        weights=weights,
        nonzero=sum(layer.nonzero for layer in layers),
        unattributed=found.unattributed,
        tables=found.tables,
        others=found.others,
        shapes=found.shapes,
        numbers=found.numbers,
        parameters=parameters,
        bytes_stored=sum(_bytes(tensor.data_type, _elements(tensor)) for tensor in graph.stored.values()),
        bytes_dense=4 * parameters,
        bytes_encoded=encoded
        + sum(_bytes(tensor.data_type, found.not_layers[name]) for name, tensor in graph.stored.items()),
    )


def kept(model: Sizes, dense: Sizes) -> int:
    """The weights of `model` that count as kept.

    Non-zero weights of layers, all numbers that cannot be attributed, and numbers outside the
    layers beyond those that `dense` has there: tables, shapes and others, each apart.
    """
    return model.nonzero + sum(model.unattributed.values()) + beyond(model, dense)


def beyond(model: Sizes, dense: Sizes) -> int:
    """Numbers outside the layers, above those of `dense`: a weight in another place is a weight."""
    places = ((model.tables, dense.tables), (model.others, dense.others), (model.shapes, dense.shapes))
    return sum(max(0, own - given) for own, given in places)


def removed_fraction(model: Sizes, dense: Sizes) -> float:
    """1 − weights kept in `model` / weights of `dense`, unattributed numbers among both.

    Raises:
        ValueError: `dense` has no layer with weights.
    """
    if dense.weights == 0:
        raise ValueError("The dense model has no layer with weights, so no fraction of them can be removed.")
    return 1 - kept(model, dense) / dense.weights_and_unattributed


def compression_ratio(model: Sizes, dense: Sizes) -> float:
    """Weights of `dense` / weights kept in `model`, unattributed numbers among both.

    Raises:
        ValueError: `model` has no non-zero weight.
    """
    if kept(model, dense) == 0:
        raise ValueError("The model has no non-zero weight, so its compression ratio is not a number.")
    return dense.weights_and_unattributed / kept(model, dense)


def _layer(compute: ComputeNode, weights: int, nonzero: int) -> LayerSize:
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
    return LayerSize(compute.name, weight.values.shape, weights, nonzero, encoding, encoded + overhead)


def _elements(tensor: onnx.TensorProto) -> int:
    return int(np.prod(tensor.dims, dtype=np.int64))


def _bytes(data_type: int, elements: int) -> int:
    return (elements * stored_bits(data_type) + 7) // 8


def _floats(model: onnx.ModelProto, graph: Graph, found: Attribution) -> int:
    """Floats outside the layers; a single one, without a dimension or in a `Constant` node, is no parameter."""
    initial = {tensor.name for tensor in model.graph.initializer if tensor.dims}
    return sum(
        found.not_layers[name]
        for name, tensor in graph.stored.items()
        if tensor.data_type in FLOATS and (name in initial or _elements(tensor) > 1)
    )
