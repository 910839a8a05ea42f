"""An LSTM on EIE: the four gates are one matrix, multiplied by input and state side by side at each step.

Sigmoid, tanh and the products of gates are the host's, in float32. ONNX's order of gates is i, o, f, c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from hw_targets.eie.codebook import CodedWeight
from hw_targets.graph.onnx_graph import ComputeNode, GraphError

LENGTHS, PEEPHOLES = 4, 7  # places among the operator's inputs
USUAL = [b"Sigmoid", b"Tanh", b"Tanh"]


class Layer(Protocol):
    """What is asked of the layer here: its node, its weight in codes, and products with that."""

    @property
    def node(self) -> ComputeNode: ...

    @property
    def coded(self) -> CodedWeight: ...

    def constant_or_activation(self, name: str, values: Mapping[str, np.ndarray], /) -> np.ndarray: ...

    def product(self, canonical: np.ndarray, watch: Callable[[np.ndarray], None] | None = None, /) -> np.ndarray: ...


def run(
    layer: Layer, values: Mapping[str, np.ndarray], watch: Callable[[np.ndarray], None] | None = None
) -> list[np.ndarray]:
    """ONNX's three outputs, all states, the last one, and the last cell, of inputs `[steps, n, in]`.

    Raises:
        GraphError: peepholes, sequence lengths, clipping, or other activations than the usual.
    """
    seen: list[np.ndarray] = []
    outputs = _steps(layer, values, lambda vectors: layer.product(vectors, seen.append))
    if watch is not None:
        watch(np.stack(seen))
    return outputs


def greatest(layer: Layer, values: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The greatest absolute values that the matrix reads and gives over all steps, in real numbers."""
    weight = layer.coded.values()
    read, given = [0.0], [0.0]

    def product(vectors: np.ndarray) -> np.ndarray:
        sums = vectors @ weight.T
        read.append(float(np.abs(vectors).max(initial=0)))
        given.append(float(np.abs(sums).max(initial=0)))
        return sums.astype(np.float32)

    _steps(layer, values, product)
    return max(read), max(given)


def _steps(
    layer: Layer, values: Mapping[str, np.ndarray], product: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray]:
    names = [*layer.node.node.input, *[""] * (8 - len(layer.node.node.input))]
    attributes = layer.node.attributes
    usual = attributes.get("activations", USUAL) == USUAL
    if names[LENGTHS] or names[PEEPHOLES] or not usual or "clip" in attributes or attributes.get("input_forget", 0):
        raise GraphError(
            f"LSTM {layer.node.name}: lengths, peepholes, clipping and other activations do not run on EIE."
        )
    inputs = values[layer.node.inputs[0]]
    hidden = layer.coded.codes.shape[0] // 4
    bias = np.zeros(8 * hidden, np.float32)
    if names[3]:
        bias = layer.constant_or_activation(names[3], values)[0].astype(np.float32)
    bias = bias[: 4 * hidden] + bias[4 * hidden :]
    shape = (inputs.shape[1], hidden)
    state, cell = (
        np.broadcast_to(layer.constant_or_activation(name, values)[0], shape).astype(np.float32)
        if name
        else np.zeros(shape, np.float32)
        for name in names[5:7]
    )
    states = []
    for step in inputs:
        i, o, f, c = np.split(product(np.concatenate([step, state], axis=1)) + bias, 4, axis=1)
        cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(c)
        state = _sigmoid(o) * np.tanh(cell)
        states.append(state)
    return [np.stack(states)[:, None], state[None], cell[None]]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return expit(x)
