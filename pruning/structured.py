"""Filters and channels of a whole network, in one object or one call: found, chosen, coupled, taken out.

    pruned = prune_filters(model, example_inputs, sparsity=0.5)
    train(pruned.model)

What does not fit is left as it is, and listed with the reason.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from pruning.criteria import Batches, Criterion
from pruning.granularity import NM, Channel, Filter
from pruning.layers import weight_layers
from pruning.mask import Mask
from pruning.masking import MaskAt, fitting_layers, make_mask, mask_rule
from pruning.ratios import Ratio, Uniform
from pruning.shrinking import Trace, coupled, from_channels, joined_filters, joint_mask, prunable_filters, shrink


@dataclass(frozen=True)
class Pruned:
    """A pruned network, and what was left as it is.

    Attributes:
        mask: of the network as it was.
        layers: the layers that were pruned.
        left_out: layer → why it was not.
    """

    model: nn.Module
    mask: Mask
    layers: tuple[str, ...]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Shrinkable:
    """What of a network can be taken out, found in one run of it: weights may change later, the structure may not.

    Attributes:
        filters: layers whose filters can be taken out one by one.
        readers: layers whose input channels can be: those that read the outputs of `filters`.
        joined: groups of layers whose filters can be taken out together only.
        left_out: layer → why its filters cannot be taken out.
    """

    trace: Trace
    filters: tuple[str, ...]
    readers: tuple[str, ...]
    joined: tuple[tuple[str, ...], ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model: nn.Module, example_inputs: torch.Tensor) -> Shrinkable:
        """Follow `model` on one batch, as it takes it.

        Raises:
            ValueError: it cannot be followed.
        """
        trace = Trace(model, example_inputs)
        filters = prunable_filters(model, trace)
        reading = {reader for name in filters for reader in trace.stream(name).readers}
        joined = joined_filters(model, trace)
        known = {*filters, *(name for group in joined for name in group)}
        left_out = {name: _reason(name, trace) for name in weight_layers(model) if name not in known}
        readers = tuple(name for name in weight_layers(model) if name in reading)
        return cls(trace, tuple(filters), readers, tuple(map(tuple, joined)), left_out)

    def masks(
        self,
        *,
        criterion: Criterion | str,
        ratio: Callable[[float], Ratio],
        channels: bool = False,
        data: Batches | None = None,
    ) -> MaskAt:
        """`mask_at` for schedules, of whole filters with their biases and batch norms.

        Args:
            ratio: sparsity → how many filters of which layer are kept.
            channels: score the input channels of those who read, in place of the filters that are read.
            data: see `pruning.masking.make_mask`.
        """
        granularity = Channel() if channels else Filter()
        layers = self.readers if channels else self.filters
        rule = mask_rule(criterion=criterion, granularity=granularity, ratio=ratio, layers=layers, data=data)

        def mask_at(model: nn.Module, sparsity: float, within: Mask | None) -> Mask:
            mask = rule(model, sparsity, within)
            if channels:  # one that nobody reads is pruned where it is made
                mask = from_channels(model, mask, self.trace)
            return coupled(model, mask, self.trace)

        return mask_at

    def shrink(self, model: nn.Module, mask: Mask) -> nn.Module:
        """See `pruning.shrinking.shrink`."""
        return shrink(model, mask, self.trace)


def prune_filters(
    model: nn.Module,
    example_inputs: torch.Tensor,
    sparsity: float,
    *,
    criterion: Criterion | str = "magnitude",
    ratio: Callable[..., Ratio] = Uniform,
    multiple_of: int = 1,
    data: Batches | None = None,
) -> Pruned:
    """A smaller copy of `model` without the filters that matter least; train it afterwards.

    Filters whose outputs are added up (residual networks) are chosen together. Layers whose filters
    cannot be taken out keep them, and stand in `left_out`.

    Args:
        example_inputs: one batch, as the model takes it; not all zeros.
        sparsity: the share of filters to prune, in 0…1.
        ratio: `Uniform`, the same share of each layer, or `Global`, one threshold for all.
        multiple_of: each layer keeps such a number of filters; 8 is fast on most machines.
        data: batches of `(inputs, labels)`, for criteria that need them.

    Raises:
        ValueError: the model cannot be followed, or no filter of it can be taken out.
    """
    found = Shrinkable.of(model, example_inputs)
    groups = [*found.joined, *((name,) for name in found.filters)]
    if not groups:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in found.left_out.items())
        raise ValueError(f"No filter of this network can be taken out. {reasons}")
    share = ratio(sparsity, multiple_of=multiple_of, keep_at_least=1)
    mask = coupled(model, joint_mask(model, groups, criterion=criterion, ratio=share, data=data), found.trace)
    pruned = tuple(name for group in groups for name in group)
    return Pruned(found.shrink(model, mask), mask, pruned, found.left_out)


def prune_n_m(
    model: nn.Module, n: int = 2, m: int = 4, *, criterion: Criterion | str = "magnitude", data: Batches | None = None
) -> Pruned:
    """A copy of `model` that keeps `n` of every `m` neighbouring inputs; train it under the mask afterwards.

    Layers whose number of inputs is no multiple of `m` stay dense, and stand in `left_out`.

    Raises:
        ValueError: no layer fits, or `n` and `m` make no sense.
    """
    pattern = NM(n, m)
    layers, left_out = fitting_layers(model, pattern)
    if not layers:
        raise ValueError(f"No layer's number of inputs is a multiple of {m}.")
    mask = make_mask(model, criterion=criterion, granularity=pattern, layers=layers, data=data)
    return Pruned(mask.apply_(copy.deepcopy(model)), mask, tuple(layers), left_out)


def _reason(name: str, trace: Trace) -> str:
    stream = trace.stream(name)
    if stream.obstacle is not None:
        return stream.obstacle
    if name not in stream.producers:
        return "it is a grouped convolution, whose filters are pruned with their inputs"
    return "its filters cannot be taken out one by one"
