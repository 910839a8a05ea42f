"""Eight-bit integers in place of floats, after training.

A weight is rounded to the nearest of 2·127 + 1 steps that reach its largest value, on a scale for
each output or one for all (Krishnamoorthi 2018, arXiv 1806.08342). With sample data the layers'
inputs are rounded too (Jacob et al. 2018, arXiv 1712.05877, section 2), so that a runtime may
multiply integers. Biases and all other layers stay as they are.

In ONNX the weight is int8 with `DequantizeLinear` behind it, and an input passes `QuantizeLinear`
and `DequantizeLinear`.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from pruning.criteria.batches import Batches
from pruning.quantise.grid import (
    GREATEST,
    LEAST,
    affine_grid,
    along_outputs,
    fake_quantise,
    largest_code,
    symmetric_scale,
    to_codes,
)
from pruning.quantise.ranges import Calibration, MinMax, input_ranges
from pruning.quantise.storage import Bits, bits_per_layer, layer_of, store

MIN_MAX = MinMax()


def to_int8(
    model: nn.Module,
    bits: Bits = 8,
    *,
    per_channel: bool = True,
    data: Batches | None = None,
    calibration: Calibration = MIN_MAX,
) -> nn.Module:
    """A copy of `model` whose convolutions and linear layers hold integer weights.

    A weight is off by half a step at most; zeros stay zero. Trained on, it moves its scales alone.

    Args:
        bits: of a weight, 2 to 8, for all layers or by layer (see `storage.bits_per_layer`); stored
            in 8. With 7 the sums of two products fit 16 bits, which x86 processors without VNNI
            would saturate.
        per_channel: a scale for each output (filter, row) in place of one for the layer.
        data: batches of `(inputs, labels)` to calibrate by; the layers' inputs are then quantised
            too, to 8 bits. Without data weights alone.
        calibration: how values become a range.

    Raises:
        ValueError: `bits` do not fit the model, a weight cannot be replaced, or the data shows no
            range for a layer (see `ranges.input_ranges`).
    """
    widths = bits_per_layer(model, bits, least=2)
    ranges = {} if data is None else input_ranges(model, list(widths), data, calibration)
    small = copy.deepcopy(model)
    for name, width in widths.items():
        layer = layer_of(small, name)
        device = layer.weight.device
        hold_integers(layer, layer.weight, width, per_channel=per_channel)
        if name in ranges:
            low, high = ranges[name]
            put_before(layer, QuantisedInput(*affine_grid(torch.tensor(low), torch.tensor(high))).to(device))
    return small


def hold_integers(layer: nn.Module, weight: torch.Tensor, bits: int, *, per_channel: bool) -> None:
    """Replace what `layer` stores by the codes and the scale of a float `weight`, in place."""
    scale = symmetric_scale(weight, bits, per_channel=per_channel)
    limit = largest_code(bits)
    codes = to_codes(weight.detach(), along_outputs(scale, weight.ndim), 0, -limit, limit)
    store(layer, scale, IntegerWeight(codes.to(torch.int8)))


def put_before(layer: nn.Module, quantiser: nn.Module) -> None:
    """Have `layer` read its input through `quantiser`, its new child, in place of an earlier one."""
    if not hasattr(layer, "input_quantiser"):
        layer.register_forward_pre_hook(_through_quantiser)
    layer.input_quantiser = quantiser


def _through_quantiser(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    quantiser = layer.input_quantiser
    assert isinstance(quantiser, nn.Module)
    return (quantiser(inputs[0]), *inputs[1:])


class IntegerWeight(nn.Module):
    """The way from a scale to a weight: `scale · codes`.

    Args:
        codes: int8, in the weight's shape `[out, …]`; the scale is `[out]` or `[]`.
    """

    codes: torch.Tensor

    def __init__(self, codes: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("codes", codes)

    def forward(self, scale: torch.Tensor) -> torch.Tensor:
        if torch.onnx.is_in_onnx_export():
            axis = {"axis": 0} if scale.ndim else {}
            return _onnx("DequantizeLinear", (self.codes, scale), torch.float32, axis)
        return self.codes.to(scale.dtype) * along_outputs(scale, self.codes.ndim)


class QuantisedInput(nn.Module):
    """Rounds activations to 8 bits.

    Args:
        scale: float32 `[]`.
        zero_point: the code of zero, a whole number in 0…255, `[]`.
    """

    scale: torch.Tensor
    zero_point: torch.Tensor

    def __init__(self, scale: torch.Tensor, zero_point: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("zero_point", zero_point.detach().to(torch.uint8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.onnx.is_in_onnx_export():
            codes = _onnx("QuantizeLinear", (x, self.scale, self.zero_point), torch.uint8)
            return _onnx("DequantizeLinear", (codes, self.scale, self.zero_point), torch.float32)
        return fake_quantise(x, self.scale, self.zero_point, LEAST, GREATEST)


def _onnx(
    operator: str, inputs: tuple[torch.Tensor, ...], dtype: torch.dtype, attributes: dict[str, Any] | None = None
) -> torch.Tensor:
    """An ONNX operator that keeps the shape of its first input; the exporter writes it as it is."""
    return torch.onnx.ops.symbolic(operator, inputs, attributes, dtype=dtype, shape=inputs[0].shape)
