"""A whole network on EIE's numbers: its matrices there, everything else on the host in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx

from hw_targets.eie.config import EieConfig
from hw_targets.eie.executing import ExecutedLayer
from hw_targets.eie.layout import lay_out, reload_bits
from hw_targets.eie.lowering import as_matrix
from hw_targets.eie.segments import HostStep, cut, first_output
from hw_targets.eie.supported import check_supported
from hw_targets.graph.integers import with_real_products
from hw_targets.graph.onnx_graph import ComputeNode, Graph, compute_nodes

CALIBRATION_SAMPLES = 64


class EieSession:
    """Runs an ONNX model with convolutions, linear layers and LSTMs in EIE's arithmetic.

    Products of two activations (attention), normalisation, pooling and the like are left to the host,
    which gets the accelerator's 16-bit results and goes on in float32.

    Args:
        calibration: real inputs `[n, …]`, not of the test set; to the first 64 each layer's codes and
            binary points are fitted, once and for all.

    Attributes:
        layers: those on the accelerator, by name, in the graph's order.
        layouts: where their matrices lie.
        repeated: layers that use another's weight once more.
        reload_bits: what each layer fetches from DRAM for every sample; 0 where all are on chip together.

    Raises:
        GraphError: a layer is not understood, or ONNX Runtime refuses a part of the graph.
        ValueError: a weight cannot be coded, or not be held under `overflow="refuse"`; names the layer.
    """

    def __init__(self, model: onnx.ModelProto, calibration: np.ndarray, config: EieConfig | None = None) -> None:
        if len(calibration) == 0:
            raise ValueError("EIE's number formats need at least one sample to be chosen from.")
        self.config = config or EieConfig()
        model = with_real_products(model, rounded=False)  # activations have 16 bits here
        nodes = [node for node in compute_nodes(model) if node.weight is not None]
        check_supported(nodes)
        constants = _constants(model, nodes)
        self.layers = {node.name: ExecutedLayer(node, constants, self.config) for node in nodes}
        self.layouts = {
            name: lay_out(as_matrix(layer.weight != 0, layer.node.attributes.get("group", 1)), self.config)
            for name, layer in self.layers.items()
        }
        first_use = {node.name: self.layers[_first_with_weight_of(node, nodes)] for node in nodes}
        self.repeated = {name for name, layer in self.layers.items() if layer is not first_use[name]}
        self.reload_bits = reload_bits(self.layouts, self.repeated, self.config)
        self._by_output = {first_output(node.node): self.layers[node.name] for node in nodes}
        self.plan = cut(model, {first_output(node.node): _activations(node, constants) for node in nodes})
        self._go(
            calibration[:CALIBRATION_SAMPLES],
            lambda layer, values: layer.calibrate(values, of=first_use[layer.node.name]),
        )

    def run(self, inputs: np.ndarray, watch: Callable[[str, np.ndarray], None] | None = None) -> np.ndarray:
        """The model's outputs for `[n, …]` inputs.

        Args:
            watch: is given each layer's name and the codes of its input, in the layout of `LayerTrace.inputs`.
        """

        def one(layer: ExecutedLayer, values: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            seen = None if watch is None else lambda codes: watch(layer.node.name, codes)
            return layer.run(values, seen)

        return self._go(inputs, one)

    def _go(
        self,
        inputs: np.ndarray,
        layer_outputs: Callable[[ExecutedLayer, Mapping[str, np.ndarray]], list[np.ndarray]],
    ) -> np.ndarray:
        values: dict[str, np.ndarray] = {self.plan.input: inputs}
        for step, dead in zip(self.plan.steps, self.plan.dead_after, strict=True):
            if isinstance(step, HostStep):
                values.update(step.run(values))
            else:
                found = layer_outputs(self._by_output[step.first_output], values)
                values.update((name, each) for name, each in zip(step.outputs, found, strict=False) if name)
            for name in dead:
                values.pop(name, None)
        return values[self.plan.output]


def _first_with_weight_of(node: ComputeNode, nodes: list[ComputeNode]) -> str:
    """The first layer whose weight is this one's: the same numbers of the same stored tensors, not other pieces."""
    own = node.weight
    assert own is not None
    return next(
        each.name
        for each in nodes
        if each.weight is not None and each.weight.roots == own.roots and np.array_equal(each.weight.values, own.values)
    )


def _constants(model: onnx.ModelProto, nodes: list[ComputeNode]) -> Mapping[str, np.ndarray]:
    """Constant tensors that layers read beside their weights: biases and first states."""
    graph = Graph(model)
    return graph.evaluate(
        name
        for node in nodes
        for index, name in enumerate(node.node.input)
        if index >= (3 if node.kind == "lstm" else 2) and name in graph.constant
    )


def _activations(node: ComputeNode, constants: Mapping[str, np.ndarray]) -> list[str]:
    """What a layer reads: its input, and what is computed too of a Gemm's sum or an LSTM's bias and first states."""
    beside = node.node.input[3:7] if node.kind == "lstm" else node.node.input[2:3]
    return [node.inputs[0], *(name for name in beside if name and name not in constants)]
