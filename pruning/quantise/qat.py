"""Train with the rounding in place, so that the weights settle where rounding does little harm.

Jacob et al. 2018, arXiv 1712.05877, section 3: the forward pass rounds weights and activations as
the integer network will, the backward pass goes straight through to float weights. Ranges of
weights are taken anew at each step; ranges of activations are averaged with exponential decay over
the training (3.1). Here these start from calibrated ones, where the paper begins with activations
left alone; and batch norms are not folded, since the exported network keeps them.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from pruning.criteria.batches import Batches
from pruning.mask import Mask
from pruning.quantise.grid import (
    GREATEST,
    LEAST,
    affine_grid,
    along_outputs,
    fake_quantise,
    largest_code,
    symmetric_scale,
)
from pruning.quantise.int8 import QuantisedInput, hold_integers, put_before
from pruning.quantise.ranges import MinMax, input_ranges
from pruning.quantise.storage import Bits, bits_per_layer, decoder, layer_of, store, stored_name
from pruning.recovery.fine_tune import Train


def quantise_aware(
    model: nn.Module,
    bits: Bits = 8,
    *,
    train: Train,
    epochs: int,
    learning_rate: float | None = None,
    per_channel: bool = True,
    data: Batches | None = None,
    mask: Mask | None = None,
) -> nn.Module:
    """A copy of `model`, trained with fake quantisation and then quantised as by `int8.to_int8`.

    Args:
        epochs: 0 gives what `to_int8` gives.
        data: batches to calibrate by, to quantise the layers' inputs too; without it weights alone.
        mask: weights that are pruned and stay so.

    Raises:
        ValueError: see `prepare`; or `epochs` is negative, or the mask does not fit.
    """
    if epochs < 0:
        raise ValueError(f"Training takes 0 epochs or more, not {epochs}.")
    if mask is not None:
        mask.check(model)
    prepared = prepare(model, bits, per_channel=per_channel, data=data)
    if mask is not None:
        names = dict(prepared.named_parameters())
        mask = Mask({name if name in names else stored_name(name): keep for name, keep in mask.items()})
        mask.apply_(prepared)
    if epochs:
        prepared = train(prepared, epochs=epochs, learning_rate=learning_rate, mask=mask)
    return freeze(prepared)


def prepare(model: nn.Module, bits: Bits = 8, *, per_channel: bool = True, data: Batches | None = None) -> nn.Module:
    """A copy of `model` that rounds its weights, and with `data` its layers' inputs, and can be trained.

    Raises:
        ValueError: see `int8.to_int8`.
    """
    widths = bits_per_layer(model, bits, least=2)
    ranges = {} if data is None else input_ranges(model, list(widths), data, MinMax())
    prepared = copy.deepcopy(model)
    for name, width in widths.items():
        layer = layer_of(prepared, name)
        device = layer.weight.device
        store(layer, layer.weight, FakeWeight(width, per_channel=per_channel))
        if name in ranges:
            put_before(layer, FakeInput(*ranges[name]).to(device))
    return prepared


def freeze(model: nn.Module) -> nn.Module:
    """A copy of a prepared model with integers in place: what it computes in evaluation mode stays the same.

    Raises:
        ValueError: the model is not prepared.
    """
    frozen = copy.deepcopy(model)
    rounded = {name: fake for name, layer in frozen.named_modules() if isinstance(fake := decoder(layer), FakeWeight)}
    if not rounded:
        raise ValueError("No layer's weight is fake-quantised; call prepare(model) before the training.")
    for name, fake in rounded.items():
        layer = frozen.get_submodule(name)
        weight = layer.get_parameter(stored_name("weight"))
        hold_integers(layer, weight, fake.bits, per_channel=fake.per_channel)
        if isinstance(seen := getattr(layer, "input_quantiser", None), FakeInput):
            put_before(layer, QuantisedInput(*affine_grid(seen.low, seen.high)))
    return frozen


class FakeWeight(nn.Module):
    """A float weight, rounded to what `bits` can hold at its present range."""

    def __init__(self, bits: int, *, per_channel: bool) -> None:
        super().__init__()
        self.bits, self.per_channel = bits, per_channel

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        scale = symmetric_scale(weight, self.bits, per_channel=self.per_channel)
        limit = largest_code(self.bits)
        return fake_quantise(weight, along_outputs(scale, weight.ndim), 0, -limit, limit)


class FakeInput(nn.Module):
    """Rounds activations to 8 bits, over a range that follows them in training mode.

    Args:
        low, high: the range to start from.
        decay: how much of the range stays at each step.
    """

    low: torch.Tensor
    high: torch.Tensor

    def __init__(self, low: float, high: float, *, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("low", torch.tensor(low))
        self.register_buffer("high", torch.tensor(high))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            with torch.no_grad():
                self.low.lerp_(x.min().to(self.low.dtype), 1 - self.decay)
                self.high.lerp_(x.max().to(self.high.dtype), 1 - self.decay)
        return fake_quantise(x, *affine_grid(self.low, self.high), LEAST, GREATEST)
