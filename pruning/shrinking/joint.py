"""Whole residual streams: filters whose outputs are added up fall together.

If y = a(x) + b(x), channel c of y is gone only when filter c of both a and b is. So the group has
one score a channel, the sum of its members' (Torch-Pruning's group importance: Fang et al. 2023,
arXiv 2301.12900), and all members lose the same filters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pruning.criteria import Batches, Criterion
from pruning.granularity import Filter
from pruning.layers import weight_layers, weight_names
from pruning.mask import Mask
from pruning.ratios import Ratio
from pruning.shrinking.scores import scores_of
from pruning.shrinking.stream import columns_of
from pruning.shrinking.trace import Trace, traced


def joined_filters(model: nn.Module, example_inputs: torch.Tensor | Trace) -> list[list[str]]:
    """Groups of layers whose output units can be removed, but only together (`prunable_filters`: one by one).

    Args:
        example_inputs: one batch, as the model takes it, or a `Trace` of the model.
    """
    trace = traced(model, example_inputs)
    streams = {id(stream): stream for stream in map(trace.stream, weight_layers(model))}
    groups = [stream.producers for stream in streams.values() if stream.obstacle is None]
    return [list(group) for group in groups if len(group) > 1]


def joint_mask(
    model: nn.Module,
    groups: Sequence[Sequence[str]],
    *,
    criterion: Criterion | str,
    ratio: Ratio,
    data: Batches | None = None,
    within: Mask | None = None,
) -> Mask:
    """Choose the filters of each group together; the model is not changed.

    Args:
        groups: layer names, as from `joined_filters`; a group of one layer is pruned by itself.
        criterion, data: as `make_mask` takes them.
        ratio: sees each group once, under its first layer's name.
        within: an earlier mask; filters that it removes whole in all members stay removed.

    Returns:
        The mask of the members' weights; `coupled` adds biases and batch norms.

    Raises:
        ValueError: an unknown layer, or one in two groups; members of different widths; scores that are not numbers.
    """
    names = {group[0]: [weight_names(model, [layer])[0] for layer in group] for group in groups if group}
    every = [name for members in names.values() for name in members]
    if len(set(every)) != len(every):
        raise ValueError(f"A layer can be in one group only: {sorted(n for n in every if every.count(n) > 1)}.")
    shapes = {name: model.get_parameter(name).shape for name in every}
    for first, members in names.items():
        if len({shapes[name][0] for name in members}) > 1:
            raise ValueError(f"The layers joined with {first} differ in width: {[shapes[n][0] for n in members]}.")
    scores, p = scores_of(model, every, criterion, data)
    pooled = {}
    for first, members in names.items():
        pooled[first] = torch.stack([Filter().pool(scores[name], p) for name in members]).sum(0)
        if within is not None:
            gone = [~within.kept_units(name) for name in members if name in within]
            if len(gone) == len(members):
                pooled[first][torch.stack(gone).all(0)] = -torch.inf
    kept = ratio.select(pooled)
    mask = Mask(
        {name: Filter().expand(kept[first], shapes[name]) for first, members in names.items() for name in members}
    )
    return mask if within is None else Mask({name: (mask & within)[name] for name in every})


def from_channels(model: nn.Module, mask: Mask, example_inputs: torch.Tensor | Trace) -> Mask:
    """`mask`, and the filters whose channel it removes in every layer that reads it.

    What nobody reads can be taken out where it is made: the masked model computes the same with and
    without the added filters. Complete the result with `coupled`, then `shrink`.

    Raises:
        ValueError: the mask does not fit the model.
    """
    trace = traced(model, example_inputs)
    mask.check(model)
    keep = dict(mask)
    for stream in {id(stream): stream for stream in map(trace.stream, weight_layers(model))}.values():
        weights = weight_names(model, stream.producers) if stream.obstacle is None else []
        if not weights:
            continue
        width = model.get_parameter(weights[0]).shape[0]
        unread = torch.ones(width, dtype=torch.bool)
        for reader, columns in stream.readers.items():
            name = weight_names(model, [reader])[0]
            whole = model.get_parameter(name).shape[1]
            read = mask[name].transpose(0, 1).flatten(1).any(1) if name in mask else torch.ones(whole, dtype=torch.bool)
            unread &= ~read[columns_of(range(width), columns)].view(width, columns).any(1)
        for name in weights if unread.any() else []:
            entry = keep.setdefault(name, torch.ones(model.get_parameter(name).shape, dtype=torch.bool))
            entry[unread] = False
    return Mask(keep)
