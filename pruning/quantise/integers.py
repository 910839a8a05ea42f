"""Integers in place of floats: what a layer stores as codes and a scale, and what rounds a value between layers.

In ONNX both are pairs of `QuantizeLinear` and `DequantizeLinear`, by which runtimes know integers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from pruning.layers import Layer
from pruning.quantise.grid import (
    GREATEST,
    LEAST,
    LEAST_SCALE,
    along_outputs,
    fake_quantise,
    largest_code,
    scale_for_bias,
    symmetric_scale,
    to_codes,
)
from pruning.quantise.onnx_operators import onnx_operator
from pruning.quantise.placing import input_quantiser
from pruning.quantise.rows import in_rows
from pruning.quantise.storage import store


class IntegerWeight(nn.Module):
    """The way from a scale to a weight or a bias: `scale · codes`.

    Args:
        codes: int8 (a weight) or int32 (a bias), in its shape `[out, …]`; the scale is `[out]` or `[]`.
        zero_point: zeros in the scale's shape; ONNX Runtime (1.31) does without integers for a Gemm
            where they are not written out.
    """

    codes: torch.Tensor
    zero_point: torch.Tensor | None

    def __init__(self, codes: torch.Tensor, zero_point: torch.Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("codes", codes)
        self.register_buffer("zero_point", zero_point)

    def forward(self, scale: torch.Tensor) -> torch.Tensor:
        if torch.onnx.is_in_onnx_export():
            axis = {"axis": 0} if scale.ndim else {}
            zero_point = () if self.zero_point is None else (self.zero_point,)
            return onnx_operator("DequantizeLinear", (self.codes, scale, *zero_point), torch.float32, axis)
        return self.codes.to(scale.dtype) * along_outputs(scale, self.codes.ndim)


class Quantiser(nn.Module):
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
            codes = onnx_operator("QuantizeLinear", (x, self.scale, self.zero_point), torch.uint8)
            return onnx_operator("DequantizeLinear", (codes, self.scale, self.zero_point), torch.float32)
        return fake_quantise(x, self.scale, self.zero_point, LEAST, GREATEST)


class PaddedCodes(nn.Module):
    """Rounds a value, and pads it with zeros, as codes.

    Args:
        amounts: as `torch.nn.functional.pad` takes them, the last dimension first.
        rank: dimensions of the value.
    """

    pads: torch.Tensor

    def __init__(self, quantiser: Quantiser, amounts: Sequence[int], rank: int) -> None:
        super().__init__()
        self.quantiser, self.amounts = quantiser, tuple(amounts)
        before, after = [0] * rank, [0] * rank
        before[rank - len(amounts) // 2 :] = reversed(amounts[::2])
        after[rank - len(amounts) // 2 :] = reversed(amounts[1::2])
        self.register_buffer("pads", torch.tensor([*before, *after]))  # as ONNX takes them

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.onnx.is_in_onnx_export():
            return functional.pad(self.quantiser(x), self.amounts)
        scale, zero_point = self.quantiser.scale, self.quantiser.zero_point
        codes = onnx_operator("QuantizeLinear", (x, scale, zero_point), torch.uint8)
        shape = functional.pad(x, self.amounts).shape
        padded = onnx_operator("Pad", (codes, self.pads, zero_point), torch.uint8, shape=shape)
        return onnx_operator("DequantizeLinear", (padded, scale, zero_point), torch.float32)


def hold_integers(
    layer: Layer, weight: torch.Tensor, bits: int, *, per_channel: bool, input_scale: torch.Tensor | None = None
) -> None:
    """Replace what `layer` stores by the codes and the scale of a float `weight`, in place.

    Args:
        input_scale: the step of the layer's input, which is rounded. With it the bias becomes int32,
            and no scale is trained any more, since that of the bias is bound to the others.

    Raises:
        ValueError: the weight or the bias holds NaN or infinity.
    """
    if not all(bool(each.isfinite().all()) for each in (weight, layer.bias) if each is not None):
        raise ValueError(
            f"A layer ({layer}) holds NaN or infinity in its weight or bias. Has the training diverged, or is a "
            "batch norm behind it out of range?"
        )
    scale = symmetric_scale(weight, bits, per_channel=per_channel)
    bias = layer.bias.detach() if layer.bias is not None else None
    if input_scale is not None:
        scale = scale if bias is None else scale_for_bias(scale, weight, bias, input_scale)
        if isinstance(layer, nn.Linear):
            in_rows(layer)
    limit = largest_code(bits)
    codes = to_codes(weight.detach(), along_outputs(scale, weight.ndim), 0, -limit, limit)
    zero_point = None if input_scale is None else torch.zeros_like(scale, dtype=torch.int8)
    store(layer, scale, IntegerWeight(codes.to(torch.int8), zero_point))
    if input_scale is None:
        return
    if bias is not None:
        step = (scale * input_scale).clamp(min=LEAST_SCALE)
        store(layer, step, IntegerWeight(torch.round(bias / step).to(torch.int32)), of="bias")
    for stored in layer.parameters():
        stored.requires_grad_(False)


def input_scale(model: nn.Module, name: str) -> torch.Tensor:
    """The step of a layer's input, which is rounded."""
    quantiser = input_quantiser(model, name)
    assert isinstance(quantiser, Quantiser)
    return quantiser.scale
