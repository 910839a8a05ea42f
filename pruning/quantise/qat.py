"""Train with the rounding in place, so that the weights settle where rounding does little harm.

Jacob et al. 2018, arXiv 1712.05877, section 3: the forward pass rounds weights and activations as
the integer network will, the backward pass goes straight through to float weights. Ranges of
weights are taken anew at each step; ranges of activations are averaged with exponential decay over
the training (3.1). Here these start from calibrated ones, where the paper begins with activations
left alone. Batch norms are folded before the training and not, as there, at each step of it: the
network is a trained one, and takes few epochs at a low rate.
"""

from __future__ import annotations

import copy

import torch
from torch import fx, nn

from pruning.criteria.batches import Batches, device_of
from pruning.mask import Mask
from pruning.quantise.attention import split_projections, with_projections
from pruning.quantise.finishing import finished
from pruning.quantise.grid import (
    GREATEST,
    LEAST,
    affine_grid,
    along_outputs,
    fake_quantise,
    largest_code,
    symmetric_scale,
)
from pruning.quantise.integers import Quantiser, hold_integers, input_scale
from pruning.quantise.network import calibrated, folded_batch_norms
from pruning.quantise.normalise import calls_of
from pruning.quantise.placing import input_quantiser
from pruning.quantise.ranges import MinMax
from pruning.quantise.storage import Bits, bits_per_layer, decoder, layer_of, store, stored_name
from pruning.recovery.fine_tuning import Train


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
        data: batches to calibrate by, for integers between the layers too; without it weights alone.
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
        mask = carried_over(mask, prepared)
        mask.apply_(prepared)
    if epochs:
        prepared = train(prepared, epochs=epochs, learning_rate=learning_rate, mask=mask)
    return freeze(prepared)


def prepare(model: nn.Module, bits: Bits = 8, *, per_channel: bool = True, data: Batches | None = None) -> nn.Module:
    """A copy of `model` that rounds its weights, and with `data` what flows between its layers, and can be trained.

    With `data` it is a `torch.fx.GraphModule` without the batch norms behind layers; a mask for its
    training comes from `carried_over`.

    Raises:
        ValueError: see `int8.to_int8`.
    """
    model = with_projections(model)
    widths = bits_per_layer(model, bits, least=2)
    if data is None:
        prepared = copy.deepcopy(model)
    else:
        network = calibrated(model, widths, data, MinMax())
        prepared, widths = network.model, dict(network.layers)
        for name, (low, high) in network.ranges.items():
            once = not isinstance(prepared, fx.GraphModule) or len(calls_of(prepared, name)) < 2
            fake = FakeQuantiser(low, high, follows=once)
            prepared.set_submodule(name, fake.to(device_of(model)))
    for name, width in widths.items():
        layer = layer_of(prepared, name)
        store(layer, layer.weight, FakeWeight(width, per_channel=per_channel))
    return prepared


def carried_over(mask: Mask, prepared: nn.Module) -> Mask:
    """A mask of a model as one of what `prepare` made of it: under the names of the weights that are trained now.

    What a mask asks of a folded batch norm goes to its layer: a channel without factor has no weights
    left, and without factor and shift no bias. Parameters that nothing uses are no more.
    """
    parts = dict(split_projections(mask, prepared).items())
    folded = folded_batch_norms(prepared)
    for norm, layer in folded.items():
        factor, shift = parts.pop(f"{norm}.weight", None), parts.pop(f"{norm}.bias", None)
        weight, bias = f"{layer}.weight", f"{layer}.bias"
        parts.pop(bias, None)  # the mean and the shift of the norm are in it now
        if factor is None:
            continue
        keep = factor.reshape(-1, *[1] * (layer_of(prepared, layer).weight.ndim - 1))
        parts[weight] = parts[weight] & keep if weight in parts else keep.expand(layer_of(prepared, layer).weight.shape)
        if shift is not None:
            parts[bias] = factor | shift
    trained = dict(prepared.named_parameters())
    renamed = {name if name in trained else stored_name(name): keep for name, keep in parts.items()}
    return Mask({name: keep for name, keep in renamed.items() if name in trained})


def freeze(model: nn.Module) -> nn.Module:
    """A copy of a prepared model with integers in place: what it computes in evaluation mode stays the same.

    Biases become integers only here; that moves them by less than a step of the sums they are added to.

    Raises:
        ValueError: the model is not prepared, or a weight or bias is not finite.
    """
    frozen = copy.deepcopy(model)
    rounded = {name: fake for name, layer in frozen.named_modules() if isinstance(fake := decoder(layer), FakeWeight)}
    if not rounded:
        raise ValueError("No layer's weight is fake-quantised; call prepare(model) before the training.")
    for name, seen in list(frozen.named_modules()):
        if isinstance(seen, FakeQuantiser):
            frozen.set_submodule(name, Quantiser(*affine_grid(seen.low, seen.high)))
    for name, fake in rounded.items():
        layer = layer_of(frozen, name)
        weight = layer.get_parameter(stored_name("weight"))
        step = input_scale(frozen, name) if input_quantiser(frozen, name) is not None else None
        hold_integers(layer, weight, fake.bits, per_channel=fake.per_channel, input_scale=step)
    return finished(frozen)


class FakeWeight(nn.Module):
    """A float weight, rounded to what `bits` can hold at its present range."""

    def __init__(self, bits: int, *, per_channel: bool) -> None:
        super().__init__()
        self.bits, self.per_channel = bits, per_channel

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        scale = symmetric_scale(weight, self.bits, per_channel=self.per_channel)
        limit = largest_code(self.bits)
        return fake_quantise(weight, along_outputs(scale, weight.ndim), 0, -limit, limit)


class FakeQuantiser(nn.Module):
    """Rounds activations to 8 bits, over a range that follows them in training mode.

    Args:
        low, high: the range to start from.
        decay: how much of the range stays at each step.
        follows: or it stays where it is, for several values on one grid.
    """

    low: torch.Tensor
    high: torch.Tensor

    def __init__(self, low: float, high: float, *, decay: float = 0.99, follows: bool = True) -> None:
        super().__init__()
        self.decay, self.follows = decay, follows
        self.register_buffer("low", torch.tensor(low))
        self.register_buffer("high", torch.tensor(high))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.follows:
            with torch.no_grad():
                self.low.lerp_(x.min().to(self.low.dtype), 1 - self.decay)
                self.high.lerp_(x.max().to(self.high.dtype), 1 - self.decay)
        return fake_quantise(x, *affine_grid(self.low, self.high), LEAST, GREATEST)
