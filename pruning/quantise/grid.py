"""The integer grid: which floats the integers stand for, and how a float comes to lie on it.

`real = scale · (code − zero_point)`, Jacob et al. 2018, arXiv 1712.05877, section 2.1. Weights take
a symmetric grid (zero point 0), with a scale for each output or one for all (Krishnamoorthi 2018,
arXiv 1806.08342). Activations take 0…255, placed so that zero is exactly one of the codes: padding
and the zeros after a ReLU stay zero.

Rounding has no useful gradient. The straight-through estimator takes that of the identity where
the value lies on the grid's range, and zero outside.
"""

from __future__ import annotations

from typing import Any

import torch

LEAST, GREATEST = 0, 255  # the codes of an activation, uint8
LEAST_SCALE = 1e-30  # so that products of scales stay normal numbers
BIAS_BITS = 30  # of an int32 bias at most: the sum of products is added to it
ALONE_BITS = 24  # of the bias of an output without weights: exact in float32


def largest_code(bits: int) -> int:
    """Codes of a symmetric grid run from −n to n; this is n."""
    return 2 ** (bits - 1) - 1


def symmetric_scale(weight: torch.Tensor, bits: int, *, per_channel: bool) -> torch.Tensor:
    """The step at which the largest weight has the largest code: `[out]`, or `[]` for the whole tensor.

    Where all weights are zero the step is 1.
    """
    sizes = weight.detach().abs()
    largest = sizes.flatten(1).amax(1) if per_channel else sizes.amax()
    scale = (largest / largest_code(bits)).clamp(min=torch.finfo(weight.dtype).tiny)
    return torch.where(largest > 0, scale, 1)


def scale_for_bias(
    scale: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, input_scale: torch.Tensor
) -> torch.Tensor:
    """`scale` of a weight, made larger where `bias / (scale · input_scale)` would not fit into int32.

    Weights so small beside their bias hardly matter. Where an output has no weights left, the scale
    has the bias alone to serve.

    Args:
        scale: `[out]` or `[]`; weight: `[out, …]`; bias: `[out]`; input_scale: `[]`.
    """
    sizes, largest = bias.abs(), weight.detach().abs().flatten(1).amax(1)
    if scale.ndim == 0:
        sizes, largest = sizes.amax(), largest.amax()
    alone = torch.where(sizes > 0, sizes / (input_scale * 2**ALONE_BITS), 1)
    least = sizes / (input_scale * 2**BIAS_BITS)
    return torch.where(largest > 0, torch.maximum(scale, least), alone).clamp(min=LEAST_SCALE)


def along_outputs(scale: torch.Tensor, dimensions: int) -> torch.Tensor:
    """A scale `[out]` shaped to multiply a weight `[out, …]`; one of shape `[]` as it is."""
    return scale if scale.ndim == 0 else scale.reshape(-1, *[1] * (dimensions - 1))


def affine_grid(low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and zero point (float32, a whole number in 0…255) of the range `low`…`high`, with zero put into it."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    width = high - low
    scale = (width / (GREATEST - LEAST)).clamp(min=torch.finfo(width.dtype).tiny)
    scale = torch.where(width > 0, scale, 1)
    return scale, torch.round(-low / scale).clamp(LEAST, GREATEST)


def to_codes(x: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor | int, low: int, high: int) -> torch.Tensor:
    """The nearest codes in `low`…`high`, still as floats; ties to even, as ONNX's QuantizeLinear."""
    return (torch.round(x / scale) + zero_point).clamp(low, high)


def fake_quantise(
    x: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor | int, low: int, high: int
) -> torch.Tensor:
    """Round `x` to the grid and back: the value of integer arithmetic, with a straight-through gradient."""
    return _StraightThrough.apply(x, scale, zero_point, low, high)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor | int, low: int, high: int
    ) -> torch.Tensor:
        codes = torch.round(x / scale) + zero_point
        ctx.save_for_backward((codes >= low) & (codes <= high))
        return (codes.clamp(low, high) - zero_point) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None, None
