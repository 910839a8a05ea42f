"""Criterion × granularity × ratio: one mask from three choices that know nothing of one another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pruning.criteria import CRITERIA, Batches, Criterion
from pruning.granularity import GRANULARITIES, Granularity
from pruning.layers import weight_names
from pruning.mask import Mask
from pruning.names import choose
from pruning.ratios import Ratio


def make_mask(
    model: nn.Module,
    *,
    criterion: Criterion | str,
    granularity: Granularity | str,
    ratio: Ratio,
    layers: Sequence[str] | None = None,
    skip_first_conv: bool = False,
    skip_last_linear: bool = False,
    data: Batches | None = None,
    within: Mask | None = None,
) -> Mask:
    """Choose the weights of `model` to keep; the model is not changed.

    Args:
        criterion, granularity: an object, or a name in `CRITERIA`, `GRANULARITIES` for its defaults.
        layers, skip_first_conv, skip_last_linear: see `pruning.layers.weight_names`.
        data: batches of `(inputs, labels)` for criteria that need them.
        within: an earlier mask: what it removed stays removed, and counts as removed, so that
            masks of rising sparsity nest whatever the criterion.

    Returns:
        The mask of the chosen layers' weights.

    Raises:
        ValueError: an unknown name, scores that are not numbers, or a `within` of other shapes.
    """
    judge: Criterion = choose("criterion", criterion, CRITERIA)() if isinstance(criterion, str) else criterion
    groups: Granularity = (
        choose("granularity", granularity, GRANULARITIES)() if isinstance(granularity, str) else granularity
    )
    if within is not None:
        within.check(model)
    names = weight_names(model, layers, skip_first_conv=skip_first_conv, skip_last_linear=skip_last_linear)
    shapes = {name: model.get_parameter(name).shape for name in names}
    scores = judge.scores(model, names, data)
    pooled = {}
    for name in names:
        if bool(scores[name].isnan().any()):
            raise ValueError(f"{judge} gives a score to {name} that is not a number. Has the training diverged?")
        pooled[name] = groups.pool(scores[name].cpu().expand(shapes[name]), judge.p)
        if within is not None and name in within:
            gone = groups.pool(within[name].float(), float("inf")) == 0
            pooled[name] = pooled[name].masked_fill(gone, -torch.inf)
    kept = ratio.select(pooled)
    mask = Mask({name: groups.expand(kept[name], shapes[name]) for name in names})
    return mask if within is None else Mask({name: (mask & within)[name] for name in names})
