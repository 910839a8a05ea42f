"""Take masked filters out for good, so that what is left is a smaller dense network.

A filter does not fall alone: its bias, the batch norm behind it and one input channel of every
layer that reads it fall with it (the dependencies of Fang et al. 2023, arXiv 2301.12900). What this
module adds is the promise that the result computes exactly what the masked model computes, or a
refusal:

- A zeroed filter still gives its bias, and a batch norm behind it its shift. So the mask must
  remove these too; `coupled` adds them.
- The way from a filter to its readers may only cross operators that keep a zero channel zero and
  do not mix channels. Padding of channels (the option-A shortcuts of ResNet on CIFAR) is not such
  an operator, nor are concatenations, normalisations over channels or the model's output. There,
  as in Li et al. 2017 (arXiv 1608.08710, section 3.3), only filters inside a block can go.
- Filters whose outputs are added up fall together or not at all; see `pruning.shrinking.joint`.
- At last both models run on the example inputs and must agree.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from pruning.layers import parameter_name, weight_layers
from pruning.mask import Mask
from pruning.names import nearest
from pruning.shrinking.compare import outputs_of, require_same
from pruning.shrinking.stream import Stream, columns_of
from pruning.shrinking.surgery import complement, keep_inputs, keep_outputs
from pruning.shrinking.trace import Trace, traced


def prunable_filters(model: nn.Module, example_inputs: torch.Tensor | Trace) -> list[str]:
    """Names of the convolutions and linear layers whose output units can be removed one by one.

    Left out are layers whose units reach the model's input or output, an operator that cannot be
    crossed, or a sum with another layer's output (`joined_filters` lists those).

    Args:
        example_inputs: one batch, as the model takes it; or a `Trace` of the model made earlier,
            which saves running it again. So in all functions here.
    """
    trace = traced(model, example_inputs)
    streams = {name: trace.stream(name) for name in weight_layers(model)}
    return [name for name, stream in streams.items() if stream.producers == [name] and stream.obstacle is None]


def coupled(
    model: nn.Module, mask: Mask, example_inputs: torch.Tensor | Trace, *, layers: Sequence[str] | None = None
) -> Mask:
    """`mask`, and of every filter that it removes whole also the bias and the batch norm behind it.

    Args:
        layers: only filters of these layers; default all that have a filter removed whole.

    Raises:
        ValueError: the mask does not fit the model, or filters of a layer cannot fall (see `shrink`).
    """
    trace = traced(model, example_inputs)
    silent: dict[str, torch.Tensor] = {}
    for falling in _falling(model, trace, mask, layers):
        for parameter, index in falling.silent.items():
            shape = model.get_parameter(parameter).shape
            silent.setdefault(parameter, torch.ones(shape, dtype=torch.bool))[index] = False
    return mask & Mask(silent)


def shrink(
    model: nn.Module,
    mask: Mask,
    example_inputs: torch.Tensor | Trace,
    *,
    layers: Sequence[str] | None = None,
    verify: bool = True,
) -> nn.Module:
    """A smaller copy of `model` that computes what `mask.apply_(model)` computes.

    Every output unit (filter, row of a linear layer) of which `mask` keeps no weight is taken out.
    Numbers of channels are what the mask leaves; have the ratio round them (`multiple_of=8`).

    Args:
        mask: with what falls along; see `coupled`.
        example_inputs: one batch, as the model takes it, or a `Trace`; not all zeros.
        layers: only these; default all that have a unit removed whole.
        verify: run both models at last, and hold them against each other. It is most of the time;
            leave it out where the same layers of the same model are shrunk again and again.

    Raises:
        ValueError: the mask does not fit the model; a layer would lose all its units; a unit
            cannot fall (the message names layer and obstacle); joined layers do not lose the same
            units; a bias or batch norm of a removed unit is not masked; or the result does not
            compute what the masked model does.
    """
    trace = traced(model, example_inputs)
    found = _falling(model, trace, mask, layers)
    for falling in found:
        _require_coupled(falling, mask)
    small = mask.apply_(copy.deepcopy(model))
    expected = outputs_of(small, trace.inputs) if verify else None
    for falling in found:
        _take_out(small, falling)
    if expected is not None:
        require_same(small, expected, trace.inputs)
    return small


def left_over(model: nn.Module, mask: Mask, example_inputs: torch.Tensor | Trace) -> Mask | None:
    """What `mask` still asks of the parameters of `shrink(model, mask, example_inputs)`; None for nothing.

    That is what it removes and shrinking cannot take out: single weights, or input channels that another
    layer reads, too. Train the small model under it, or they grow back.

    Raises:
        ValueError: see `shrink`.
    """
    trace = traced(model, example_inputs)
    small = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            parameter.copy_(mask[name] if name in mask else torch.ones_like(parameter))
    for falling in _falling(model, trace, mask, None):
        _take_out(small, falling)
    keep = {name: parameter != 0 for name, parameter in small.named_parameters() if not bool(parameter.all())}
    return Mask(keep) if keep else None


@dataclass(frozen=True)
class _Falling:
    """Units of a stream that fall; `silent`: parameter → indices that must be zero for them to be silent."""

    stream: Stream
    units: list[int]
    width: int
    silent: dict[str, list[int]]


def _falling(model: nn.Module, trace: Trace, mask: Mask, layers: Sequence[str] | None) -> list[_Falling]:
    """What `mask` removes whole, stream by stream; raises ValueError where it cannot fall."""
    removed = _removed_units(model, mask, layers)
    falling: dict[int, _Falling] = {}
    for name, units in removed.items():
        stream = trace.stream(name)
        if name in stream.producers and id(stream) not in falling:
            width = model.get_parameter(parameter_name(name)).shape[0]
            _check(name, units, width, stream, removed)
            falling[id(stream)] = _Falling(stream, units, width, _silent(model, stream, units))
    for name, units in removed.items():
        stream = trace.stream(name)
        if name not in stream.producers:  # depthwise: falls with the layer that feeds it
            feeding = falling.get(id(stream))
            if feeding is None or not set(units) <= set(columns_of(feeding.units, stream.followers[name])):
                raise _refused(name, "it is a grouped convolution, whose filters fall with their inputs")
    return list(falling.values())


def _removed_units(model: nn.Module, mask: Mask, layers: Sequence[str] | None) -> dict[str, list[int]]:
    """Layer name → indices of the output units of which `mask` keeps nothing; layers without are left out."""
    mask.check(model)
    known = weight_layers(model)
    removed = {}
    for name in known if layers is None else layers:
        if name not in known:
            raise ValueError(f"The model has no convolution or linear layer named {name!r}. {nearest(name, known)}")
        parameter = parameter_name(name)
        if parameter in mask:
            units = torch.nonzero(~mask.kept_units(parameter)).flatten().tolist()
            if units:
                removed[name] = units
    return removed


def _check(name: str, units: list[int], width: int, stream: Stream, removed: dict[str, list[int]]) -> None:
    if stream.obstacle is not None:
        raise _refused(name, stream.obstacle)
    for other in stream.producers:
        if removed.get(other, []) != units:
            raise _refused(
                name,
                f"its output is joined with that of {other}, which does not lose the same ones "
                f"({len(removed.get(other, []))} against {len(units)}, or others); joint_mask() chooses them together",
            )
    if len(units) == width:
        raise ValueError(
            f"The mask removes all {width} units of {name}, which cuts the network through. "
            "Let the ratio keep some (keep_at_least=1)."
        )


def _refused(name: str, obstacle: str) -> ValueError:
    return ValueError(
        f"Filters of {name} cannot be taken out: {obstacle}. "
        "Prune the layers that prunable_filters() lists, or name them in layers=."
    )


def _silent(model: nn.Module, stream: Stream, units: list[int]) -> dict[str, list[int]]:
    silent = {}
    for name, columns in (dict.fromkeys(stream.producers, 1) | stream.followers).items():
        module = model.get_submodule(name)
        if isinstance(module, nn.PReLU):
            continue  # zero whatever its slope
        for own, _ in module.named_parameters(recurse=False):
            if own == "bias" or name not in stream.producers:
                silent[parameter_name(name, own)] = columns_of(units, columns)
    return silent


def _require_coupled(falling: _Falling, mask: Mask) -> None:
    for parameter, index in falling.silent.items():
        if parameter not in mask or bool(mask[parameter][index].any()):
            raise ValueError(
                f"Filters of {falling.stream.producers[0]} are masked, but {parameter} of the same channels is not, "
                "so they are not silent. Complete the mask with coupled(model, mask, example_inputs), before any "
                "fine-tuning."
            )


def _take_out(model: nn.Module, falling: _Falling) -> None:
    stream, units, width = falling.stream, falling.units, falling.width
    for name, columns in (dict.fromkeys(stream.producers, 1) | stream.followers).items():
        keep_outputs(model.get_submodule(name), complement(columns_of(units, columns), width * columns))
    for name, columns in stream.readers.items():
        keep_inputs(model.get_submodule(name), complement(columns_of(units, columns), width * columns))
