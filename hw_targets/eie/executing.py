"""A layer on EIE's numbers: inputs in fixed point, exact sums, results written back in fixed point.

Here layers are whole batches of samples as matrix products that are exact (see `exact`); `arithmetic` does
the same entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import frexp

import numpy as np

from hw_targets.eie import recurrent
from hw_targets.eie.codebook import CodedWeight, code_weight
from hw_targets.eie.config import EieConfig
from hw_targets.eie.exact import WholeMatrix, exact_matrix
from hw_targets.eie.fitting import fit_weight
from hw_targets.eie.fixed_point import EXACT_TERMS, FixedPoint, format_for
from hw_targets.eie.lowering import sample_windows
from hw_targets.eie.multiplying import Found, Numbers, convolve, convolve_groups, multiply_vectors
from hw_targets.graph.onnx_graph import ComputeNode, GraphError
from hw_targets.graph.trace import convolution_geometry

Watch = Callable[[np.ndarray], None]
FITTED_VECTORS = 8192  # that a layer's codes are fitted to, at most
SUM_BITS = 51  # of a float64's 53, for a bias: the products need the rest at most
SPARE = 2.0  # the greatest value of the calibration samples may be exceeded this many times before it saturates


@dataclass(frozen=True)
class Formats:
    """Fixed-point formats of what a layer reads and writes."""

    input: FixedPoint
    output: FixedPoint


class ExecutedLayer:
    """A convolution, a linear layer or an LSTM of an ONNX graph, as EIE computes it.

    Attributes:
        coded: its weight, from `calibrate` on.
        formats: chosen by `calibrate`.

    Raises:
        ValueError: sums have too many terms to be exact.
    """

    coded: CodedWeight

    def __init__(self, node: ComputeNode, constants: Mapping[str, np.ndarray], config: EieConfig) -> None:
        assert node.weight is not None
        self.node = node
        self.config = config
        self.weight = node.weight.values
        self.formats: Formats | None = None
        self.bias = _bias(node, constants)
        self.constants = constants
        self.flat = False  # a convolution in one dimension
        if np.prod(self.weight.shape[1:]) > EXACT_TERMS:
            raise ValueError(f"Layer {node.name} adds more than {EXACT_TERMS} products, which could be rounded.")

    def calibrate(self, values: Mapping[str, np.ndarray], of: ExecutedLayer | None = None) -> list[np.ndarray]:
        """Fit codes and formats to these activations, the formats with a bit to spare, and return what `run` does.

        An LSTM's codes stay as k-means found them.

        Args:
            of: the layer that was calibrated with this one's weight, which the machine holds once; default: this one.

        Raises:
            GraphError: there is NaN or infinity among the activations.
            ValueError: the weight cannot be coded.
        """
        bits, name = self.config.value_bits, f"Layer {self.node.name}"
        inputs = values[self.node.inputs[0]]
        if not np.isfinite(inputs).all():
            raise GraphError(f"{name}: its activations have NaN or infinity in them.")
        self.flat = self.node.kind == "conv" and inputs.ndim == 3
        if self.node.kind == "lstm":
            self._hold(code_weight(self.weight, self.config, name))
            greatest = recurrent.greatest(self, values)
            self.formats = Formats(*(format_for(SPARE * each, bits) for each in greatest))
            return self.run(values)
        canonical = self._canonical(inputs)
        if of is not None and of is not self and np.array_equal(of.weight, self.weight):
            self._hold(of.coded)
        else:
            self._hold(fit_weight(self.weight, self._vectors(canonical), self.config, name))
        reads = self._exact_with_bias(format_for(SPARE * float(np.abs(canonical).max(initial=0)), bits))
        numbers = self._numbers(Formats(reads, reads))
        most = self._multiply(canonical, numbers)[1] * 2.0**-numbers.fraction
        self.formats = Formats(reads, format_for(SPARE * most, bits))
        return self.run(values)

    def run(self, values: Mapping[str, np.ndarray], watch: Watch | None = None) -> list[np.ndarray]:
        """The node's outputs, in the type of its input, from the graph's activations by name.

        Args:
            watch: is given the input's codes, whole numbers in the layout of `LayerTrace.inputs`.
        """
        inputs = values[self.node.inputs[0]]
        if self.node.kind == "lstm":
            outputs = recurrent.run(self, values, watch)
        else:
            outputs = [self._as_in_graph(self.product(self._canonical(inputs), watch), values)]
        return [np.ascontiguousarray(output, inputs.dtype) for output in outputs]

    def constant_or_activation(self, name: str, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """A tensor that the node reads beside its input and its weight."""
        return self.constants[name] if name in self.constants else values[name]

    def product(self, canonical: np.ndarray, watch: Watch | None = None) -> np.ndarray:
        """The weight's products with activations, plus the bias, as written back: float32."""
        assert self.formats is not None, "calibrate first"
        if watch is not None:
            watch(self.formats.input.encode(canonical))
        return self._multiply(canonical, self._numbers(self.formats))[0]

    def _hold(self, coded: CodedWeight) -> None:
        """Keep a weight, and get it ready to be multiplied by."""
        self.coded = coded
        grouped = self.node.kind == "conv" and self.node.attributes.get("group", 1) > 1
        self._matrix = None if grouped else exact_matrix(self._rows(), self.config.value_bits)

    def _rows(self) -> np.ndarray:
        """The weight as a matrix of whole numbers, the channels of a convolution last."""
        integers = self.coded.integers()
        last = integers.transpose(0, 2, 3, 1) if integers.ndim == 4 else integers
        return last.reshape(len(last), -1)

    def _numbers(self, formats: Formats) -> Numbers:
        fraction = self.coded.format.fraction + formats.input.fraction
        bias = np.zeros(len(self.weight)) if self.bias is None else np.rint(self.bias * 2.0**fraction)
        return Numbers(formats.input, formats.output, fraction, bias)

    def _multiply(self, canonical: np.ndarray, numbers: Numbers) -> Found:
        """Products and bias, exact until they are written back."""
        values = canonical.astype(np.float32) if canonical.dtype == np.float16 else canonical
        matrix = self._matrix
        if matrix is not None and np.isnan(values.min(initial=0)):  # NaN stays NaN, and no byte is
            matrix = WholeMatrix.of(self._rows())
        if self.node.kind != "conv":
            assert matrix is not None
            return multiply_vectors(matrix, values, numbers)
        geometry = convolution_geometry(self.node.attributes, self.flat, values.shape, self.weight.shape)
        if matrix is None:
            return convolve_groups(self.coded.integers(), values, numbers, **geometry)
        return convolve(matrix, values, numbers, self.weight.shape[2:], **geometry)

    def _vectors(self, canonical: np.ndarray) -> np.ndarray:
        """Some of the vectors that the weight's matrix is multiplied by, `[groups, n, columns]`."""
        if self.node.kind != "conv":
            rows = canonical.reshape(-1, canonical.shape[-1])
            return rows[:: -(-len(rows) // FITTED_VECTORS)][None]
        geometry = convolution_geometry(self.node.attributes, self.flat, canonical.shape, self.weight.shape)
        return sample_windows(canonical, self.weight.shape[2:], FITTED_VECTORS, **geometry)

    def _exact_with_bias(self, reads: FixedPoint) -> FixedPoint:
        """`reads`, with so few bits behind the point that float64 holds the bias beside the products."""
        greatest = 0.0 if self.bias is None else float(np.abs(self.bias).max(initial=0))
        if greatest == 0:
            return reads
        most = SUM_BITS - frexp(greatest)[1] - self.coded.format.fraction
        return FixedPoint(reads.bits, min(reads.fraction, most))

    def _canonical(self, inputs: np.ndarray) -> np.ndarray:
        """The activations in the layout of `LayerTrace.inputs`."""
        attributes = self.node.attributes
        if self.node.kind == "conv":
            return inputs[:, :, None, :] if self.flat else inputs
        if self.node.weight_on_left:
            return inputs if attributes.get("transB", 0) else np.swapaxes(inputs, -1, -2)
        return inputs.T if attributes.get("transA", 0) else inputs

    def _as_in_graph(self, sums: np.ndarray, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The layer's result as its node gives it; what it adds beside a constant bias is the host's work."""
        added = _third(self.node) if self.bias is None else ""
        if self.node.kind == "conv":
            if added:
                sums = sums + self.constant_or_activation(added, values).reshape(-1, 1, 1)
            return sums[:, :, 0, :] if self.flat else sums
        if self.node.weight_on_left:
            sums = np.swapaxes(sums, -1, -2)
        if added:
            sums = sums + np.float32(self.node.attributes.get("beta", 1.0)) * self.constant_or_activation(added, values)
        missing = self.node.rank - (sums.ndim == 1) - sums.ndim  # a weight of more dimensions, of length 1
        return sums.reshape(*[1] * missing, *sums.shape)


def _third(node: ComputeNode) -> str:
    """The name of what a convolution or a Gemm adds, or nothing."""
    return node.node.input[2] if len(node.node.input) > 2 else ""


def _bias(node: ComputeNode, constants: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """What is added to each output, float64 `[out]`, where the registers can start from it."""
    assert node.weight is not None
    name = _third(node)
    if node.kind == "lstm" or not name or node.weight_on_left or name not in constants:
        return None
    bias = constants[name].astype(np.float64).reshape(-1)
    if node.node.op_type == "Gemm":
        bias = bias * float(node.attributes.get("beta", 1.0))
    if not np.isfinite(bias).all():
        raise GraphError(f"Layer {node.name}: its bias has NaN or infinity in it.")
    return bias if bias.size == node.weight.values.shape[0] else None
