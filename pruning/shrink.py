"""Take masked filters out for good, so that what is left is a smaller dense network.

A filter does not fall alone: its bias, the batch norm behind it and one input channel of every
layer that reads it fall with it. Torch-Pruning's dependency graph finds them (Fang et al. 2023,
arXiv 2301.12900, section 3). What this module adds is the promise that the result computes exactly
what the masked model computes, or a refusal:

- A zeroed filter still gives its bias, and a batch norm behind it its shift. So the mask must
  remove these too; `coupled` adds them.
- The way from a filter to its readers may only cross operators that keep a zero channel zero and
  do not mix channels. Padding of channels (the option-A shortcuts of ResNet on CIFAR) is not such
  an operator, nor are concatenations, normalisations over channels or the model's output. There,
  as in Li et al. 2017 (arXiv 1608.08710, section 3.3), only filters inside a block can go.
- At last both models run on the example inputs and must agree.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from pruning.layers import weight_layers
from pruning.mask import Mask
from pruning.names import nearest
from pruning.tracing import Falling, Trace

TOLERANCE = 1e-4  # of the largest output: float32 sums in another order


def prunable_filters(model: nn.Module, example_inputs: torch.Tensor) -> list[str]:
    """Names of the convolutions and linear layers whose output units can be removed one by one.

    Left out are layers whose units reach the model's input or output, an operator that cannot be
    crossed, or a sum with another layer's output (they could only fall in pairs).

    Args:
        example_inputs: one batch, as the model takes it.
    """
    trace = Trace(model, example_inputs)
    return [name for name in weight_layers(model) if trace.falling(name).obstacle is None]


def coupled(model: nn.Module, mask: Mask, example_inputs: torch.Tensor, *, layers: Sequence[str] | None = None) -> Mask:
    """`mask`, and of every filter that it removes whole also the bias and the batch norm behind it.

    Args:
        layers: only filters of these layers; default all that have a filter removed whole.

    Raises:
        ValueError: the mask does not fit the model, or filters of a layer cannot fall (see `shrink`).
    """
    trace = Trace(model, example_inputs)
    keep = dict(mask)
    for falling in _falling(trace, _removed_units(model, mask, layers)).values():
        for parameter, index in falling.parameters.items():
            entry = keep.setdefault(parameter, torch.ones(model.get_parameter(parameter).shape, dtype=torch.bool))
            entry[index] = False
    return Mask(keep)


def shrink(
    model: nn.Module, mask: Mask, example_inputs: torch.Tensor, *, layers: Sequence[str] | None = None
) -> nn.Module:
    """A smaller copy of `model` that computes what `mask.apply_(model)` computes.

    Every output unit (filter, row of a linear layer) of which `mask` keeps no weight is taken out.
    Numbers of channels are what the mask leaves; have the ratio round them (`multiple_of=8`).

    Args:
        mask: with what falls along; see `coupled`.
        example_inputs: one batch, as the model takes it; not all zeros.
        layers: only these; default all that have a unit removed whole.

    Raises:
        ValueError: the mask does not fit the model; a layer would lose all its units; a unit
            cannot fall (the message names layer and obstacle); a bias or batch norm of a removed
            unit is not masked; or the result does not compute what the masked model does.
    """
    masked = mask.apply_(copy.deepcopy(model))
    trace = Trace(masked, example_inputs)
    removed = _removed_units(model, mask, layers)
    falling = _falling(trace, removed)
    for name in falling:
        _require_coupled(name, falling[name], mask)
    for name in falling:
        trace.remove(name, removed[name])
    small = trace.model
    _restore(small, model)
    _compare(small, masked, example_inputs)
    return small


def _removed_units(model: nn.Module, mask: Mask, layers: Sequence[str] | None) -> dict[str, list[int]]:
    """Layer name → indices of the output units of which `mask` keeps nothing; layers without are left out."""
    mask.check(model)
    known = weight_layers(model)
    removed = {}
    for name in known if layers is None else layers:
        if name not in known:
            raise ValueError(f"The model has no convolution or linear layer named {name!r}. {nearest(name, known)}")
        parameter = f"{name}.weight" if name else "weight"
        if parameter in mask:
            units = torch.nonzero(~mask[parameter].flatten(1).any(1)).flatten().tolist()
            if units:
                removed[name] = units
    return removed


def _falling(trace: Trace, removed: Mapping[str, list[int]]) -> dict[str, Falling]:
    """What falls with the `removed` units of each layer; raises ValueError where they cannot.

    Depthwise filters that fall with the layer that feeds them have no entry of their own.
    """
    found = {name: trace.falling(name, units) for name, units in removed.items()}
    taken: dict[str, set[int]] = {}
    for falling in found.values():
        if falling.obstacle is None:
            for parameter, index in falling.parameters.items():
                taken.setdefault(parameter, set()).update(index)
    return {
        name: _checked(name, removed[name], falling)
        for name, falling in found.items()
        if not taken.get(f"{name}.weight", set()).issuperset(removed[name])
    }


def _checked(name: str, units: list[int], falling: Falling) -> Falling:
    if falling.obstacle is not None:
        raise ValueError(
            f"Filters of {name} cannot be taken out: {falling.obstacle}. "
            "Prune the layers that prunable_filters() lists, or name them in layers=."
        )
    if len(units) == falling.width:
        raise ValueError(
            f"The mask removes all {falling.width} units of {name}, which cuts the network through. "
            "Let the ratio keep some (keep_at_least=1)."
        )
    return falling


def _require_coupled(name: str, falling: Falling, mask: Mask) -> None:
    for parameter, index in falling.parameters.items():
        if parameter not in mask or bool(mask[parameter][index].any()):
            raise ValueError(
                f"Filters of {name} are masked, but {parameter} of the same channels is not, so they are not "
                "silent. Complete the mask with coupled(model, mask, example_inputs), before any fine-tuning."
            )


def _restore(small: nn.Module, model: nn.Module) -> None:
    """Give back what tracing changes: which parameters are trained, and which modules."""
    for name, parameter in small.named_parameters():
        parameter.requires_grad_(model.get_parameter(name).requires_grad)
    for name, module in small.named_modules():
        module.training = model.get_submodule(name).training


@torch.no_grad()
def _compare(small: nn.Module, masked: nn.Module, example_inputs: torch.Tensor) -> None:
    try:
        got = _evaluated(small, example_inputs)
    except RuntimeError as error:
        raise ValueError(f"Without the masked filters the model no longer runs: {error}") from error
    expected = _evaluated(masked, example_inputs)
    difference = float((got - expected).abs().max()) if got.shape == expected.shape else float("inf")
    if not difference <= TOLERANCE * float(expected.abs().max()) + 1e-7:
        raise ValueError(
            f"Without the masked filters the model computes something else (largest difference {difference:.2g}): "
            "an operator behind them gives more than zero for a zero channel. Leave these layers out."
        )


def _evaluated(model: nn.Module, example_inputs: torch.Tensor) -> Any:
    """The outputs in inference mode; each module's own mode is as before afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        return model(example_inputs)
    finally:
        for module, training in modes.items():
            module.training = training
