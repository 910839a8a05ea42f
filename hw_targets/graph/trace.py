"""What each layer does, from one run of the ONNX graph: the record that every simulator reads.

The graph runs in ONNX Runtime, unoptimised, on real samples, with the inputs of the layers that
multiply exposed as further outputs. EIE, PointAcc, roofline and memory models count from `LayerTrace`
and nothing else; a target with an arithmetic of its own also runs the graph (decision 010).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx

from hw_targets.graph import recurrent, transposed
from hw_targets.graph.integers import with_real_products
from hw_targets.graph.onnx_graph import ComputeNode, Graph, GraphError, Kind, compute_nodes, run_unoptimised
from hw_targets.graph.stacked import Einsum

RECURRENT = frozenset(recurrent.KINDS.values())


@dataclass(frozen=True)
class LayerTrace:
    """One layer on `n` samples. All counts are for one sample.

    Attributes:
        name: of the layer, unique in the model.
        kind: `conv`, `conv_transpose`, `linear`, `lstm`, `gru`, `rnn`, or `matmul` (two activations,
            no weights).
        weight: float32 in the canonical layout of `hw_targets.graph.onnx_graph.Weight`; None for `matmul`.
        codebook, scale: where the weight came from a codebook or a quantised tensor.
        inputs: float32 activations that meet the weight. Convolutions `[n, c_i, h, w]` (h = 1 in 1-D);
            linear `[…, in]`, or `[groups, …, in]` with a stack of matrices; lstm, gru and rnn
            `[steps, n, in + hidden]`, the input beside the state before the step, or
            `[2, steps, n, in + hidden]` for both directions; matmul `[…, m, k]`.
        second: the other factor of a `matmul`, `[…, k, n]`, else None.
        output_shape: as the graph has it, with the samples.
        samples: n.
        stride, padding, dilation: of a convolution; padding is (top, left, bottom, right).
        groups: parts of the weight, of equal size below one another, that different inputs meet: those of a
            convolution, the matrices of a stack, the directions of a recurrent layer.
        weight_bits: bits that one stored weight takes in the file (8 for int8, 32 for float32).
    """

    name: str
    kind: Kind
    weight: np.ndarray | None
    inputs: np.ndarray
    output_shape: tuple[int, ...]
    samples: int
    second: np.ndarray | None = None
    codebook: np.ndarray | None = None
    scale: np.ndarray | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    weight_bits: int = 32

    @property
    def positions(self) -> int:
        """How often each weight is used for one sample: output pixels, rows or time steps.

        Of a transposed convolution input pixels: each meets all weights of its channel.
        """
        if self.kind == "conv":
            return prod(self.output_shape[2:])
        if self.kind == "conv_transpose":
            return prod(self.inputs.shape[2:])
        return prod(self.inputs.shape[:-1]) // self.samples // self.groups

    @property
    def macs_dense(self) -> int:
        """Multiply–accumulates by shape: weights × positions; padding is multiplied too."""
        if self.weight is None:
            return int(prod(self.output_shape) * self.inputs.shape[-1] // self.samples)
        return self.weight.size * self.positions

    @property
    def macs_effective(self) -> int:
        """Multiply–accumulates that skip zero weights: non-zero weights × positions.

        What a machine with sparse weights and dense activations has to do. Equal to
        `macs_dense` where there are no weights.
        """
        if self.weight is None:
            return self.macs_dense
        return int(np.count_nonzero(self.weight)) * self.positions

    @property
    def macs_nonzero(self) -> float:
        """Multiply–accumulates whose both factors are non-zero, on average over the samples.

        What a machine that skips zero activations as well (EIE) has to do; padding counts as zero.
        """
        active = self.inputs != 0
        if self.weight is None:
            assert self.second is not None
            left = active.reshape(-1, *active.shape[-2:]).sum(1, dtype=np.int64)
            second = self.second != 0
            right = second.reshape(-1, *second.shape[-2:]).sum(2, dtype=np.int64)
            return float((left * right).sum() / self.samples)  # over the inner dimension, batch by batch
        if self.kind == "conv":
            return self._conv_macs_nonzero(active)
        if self.kind == "conv_transpose":
            return transposed.macs_nonzero(active, self.weight, self.groups) / self.samples
        uses = active.reshape(self.groups, -1, active.shape[-1]).sum(1, dtype=np.int64)
        weights = self.weight.reshape(self.groups, -1, self.weight.shape[-1])
        return float((uses * np.count_nonzero(weights, axis=1)).sum() / self.samples)

    def _conv_macs_nonzero(self, active: np.ndarray) -> float:
        assert self.weight is not None
        top, left, bottom, right = self.padding
        active = np.pad(active, ((0, 0), (0, 0), (top, bottom), (left, right)))
        c_o, c_i, k_h, k_w = self.weight.shape
        h_o, w_o = self.output_shape[-2:] if len(self.output_shape) == 4 else (1, self.output_shape[-1])
        # Non-zero weights of each input channel and tap, over the output channels of its group.
        grouped = (self.weight != 0).reshape(self.groups, c_o // self.groups, c_i, k_h, k_w)
        taps = grouped.sum(1, dtype=np.int64).reshape(self.groups * c_i, k_h, k_w)
        total = 0
        for y in range(k_h):
            for x in range(k_w):
                y0, x0 = y * self.dilation[0], x * self.dilation[1]
                rows = slice(y0, y0 + self.stride[0] * (h_o - 1) + 1, self.stride[0])
                columns = slice(x0, x0 + self.stride[1] * (w_o - 1) + 1, self.stride[1])
                total += int(active[:, :, rows, columns].sum((0, 2, 3), dtype=np.int64) @ taps[:, y, x])
        return total / self.samples


def trace(model: onnx.ModelProto, samples: np.ndarray) -> list[LayerTrace]:
    """Run `model` on `samples` `[n, …]` and return its layers in the graph's order.

    The model has one input. Memory grows with n times the activations of all layers.

    Raises:
        GraphError: a layer is not understood, or the runtime refused the model; says which.
    """
    if samples.ndim < 1 or len(samples) == 0:
        raise ValueError("Tracing needs at least one sample.")
    model = with_real_products(model)
    nodes = compute_nodes(model)
    values = _activations(model, nodes, np.ascontiguousarray(samples))
    return [_layer(node, values, len(samples)) for node in nodes]


def _activations(model: onnx.ModelProto, nodes: list[ComputeNode], samples: np.ndarray) -> dict[str, np.ndarray]:
    """All tensors that `nodes` read and write, by name."""
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in stored]
    if len(inputs) != 1:
        raise GraphError(f"Tracing needs a model of one input; this one has {inputs}.")
    wanted = {name for compute in nodes for name in (*compute.inputs, _result(compute), _initial_state(compute))}
    constant = sorted(wanted & Graph(model).constant)
    wanted -= {"", inputs[0], *constant}
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    _name_states(exposed)
    del exposed.graph.output[:]
    names = sorted(wanted)
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    values = dict(zip(names, run_unoptimised(exposed, names, {inputs[0]: samples}), strict=True)) if names else {}
    return {inputs[0]: samples, **values, **Graph(model).evaluate(constant)}


def _result(compute: ComputeNode) -> str:
    """The name of what a node gives; of a recurrent one its states, also where nothing else reads them."""
    return compute.node.output[0] or _states_of(compute.node)


def _states_of(node: onnx.NodeProto) -> str:
    return next(name for name in node.output if name) + ".states"


def _name_states(model: onnx.ModelProto) -> None:
    """Have recurrent nodes give the states of all steps (output Y), in place."""
    for node in model.graph.node:
        if node.op_type in recurrent.KINDS and not node.output[0]:
            node.output[0] = _states_of(node)


def _initial_state(compute: ComputeNode) -> str:
    place = recurrent.INITIAL_STATE
    return compute.node.input[place] if compute.kind in RECURRENT and len(compute.node.input) > place else ""


def _layer(compute: ComputeNode, values: dict[str, np.ndarray], samples: int) -> LayerTrace:
    inputs = values[compute.inputs[0]].astype(np.float32, copy=False)
    output_shape = values[_result(compute)].shape
    if compute.kind == "matmul":
        return _matmul(compute, values, output_shape, samples)
    weight = compute.weight
    assert weight is not None
    geometry: dict[str, Any] = {"groups": compute.groups}
    if compute.arrange is not None:
        inputs = compute.arrange(inputs)
    elif compute.kind in ("conv", "conv_transpose"):
        flat = inputs.ndim == 3
        inputs = inputs[:, :, None, :] if flat else inputs
        geometry = convolution_geometry(compute.attributes, flat, inputs.shape, weight.values.shape)
    elif compute.kind in RECURRENT:
        initial = _initial_state(compute)
        first = values[initial] if initial else None
        inputs = recurrent.with_state(inputs, values[_result(compute)], first, compute.attributes)
    elif compute.weight_on_left:
        if not compute.attributes.get("transB", 0):
            inputs = np.swapaxes(inputs, -1, -2)
    elif compute.attributes.get("transA", 0):
        inputs = inputs.T
    return LayerTrace(
        name=compute.name,
        kind=compute.kind,
        weight=weight.values,
        inputs=inputs,
        output_shape=output_shape,
        samples=samples,
        codebook=weight.codebook,
        scale=weight.scale,
        weight_bits=stored_bits(weight.stored_dtype),
        **geometry,
    )


def _matmul(
    compute: ComputeNode, values: dict[str, np.ndarray], output_shape: tuple[int, ...], samples: int
) -> LayerTrace:
    left, right = (values[name].astype(np.float32, copy=False) for name in compute.inputs)
    if compute.node.op_type == "Einsum":
        equation = Einsum.parse(compute.attributes["equation"].decode())
        left, right = equation.factor(left, 0), equation.factor(right, 1)
    left = left.T if compute.attributes.get("transA", 0) else left
    right = right.T if compute.attributes.get("transB", 0) else right
    left = left[None] if left.ndim == 1 else left
    right = right[:, None] if right.ndim == 1 else right
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, (*batch, *left.shape[-2:]))
    right = np.broadcast_to(right, (*batch, *right.shape[-2:]))
    return LayerTrace(compute.name, "matmul", None, left, output_shape, samples, second=right)


def convolution_geometry(
    attributes: Mapping[str, Any], flat: bool, inputs: tuple[int, ...], weight: tuple[int, ...]
) -> dict[str, Any]:
    """Stride, padding, dilation and groups in two dimensions; `auto_pad` as the operator defines it."""
    dimensions = 1 if flat else 2
    stride = tuple(attributes.get("strides", (1,) * dimensions))
    dilation = tuple(attributes.get("dilations", (1,) * dimensions))
    pads = tuple(attributes.get("pads", (0, 0) * dimensions))
    if flat:
        stride, dilation, pads = (1, *stride), (1, *dilation), (0, pads[0], 0, pads[1])
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    if auto == "VALID":
        pads = (0, 0, 0, 0)
    elif auto.startswith("SAME"):
        begin, end = [], []
        for size, kernel, step, spread in zip(inputs[2:], weight[2:], stride, dilation, strict=True):
            total = max((-(-size // step) - 1) * step + (kernel - 1) * spread + 1 - size, 0)
            small, large = total // 2, total - total // 2
            begin.append(small if auto == "SAME_UPPER" else large)
            end.append(large if auto == "SAME_UPPER" else small)
        pads = (*begin, *end)
    return {"stride": stride, "padding": pads, "dilation": dilation, "groups": attributes.get("group", 1)}


def stored_bits(data_type: int) -> int:
    """Bits of one element of an ONNX data type."""
    name = onnx.TensorProto.DataType.Name(data_type)
    if name in ("INT4", "UINT4", "FLOAT4E2M1"):
        return 4
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(data_type)).itemsize * 8
