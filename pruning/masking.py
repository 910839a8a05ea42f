"""Criterion × granularity × ratio: one mask from three choices that know nothing of one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from pruning.criteria import CRITERIA, Batches, Criterion
from pruning.granularity import GRANULARITIES, Granularity, Pattern
from pruning.layers import weight_layers, weight_names
from pruning.mask import Mask
from pruning.names import choose
from pruning.ratios import Ratio

MaskAt = Callable[[nn.Module, float, Mask | None], Mask]  # (model, sparsity, earlier mask) → mask


def make_mask(
    model: nn.Module,
    *,
    criterion: Criterion | str,
    granularity: Granularity | Pattern | str,
    ratio: Ratio | None = None,
    layers: Sequence[str] | None = None,
    skip_first_conv: bool = False,
    skip_last_linear: bool = False,
    data: Batches | None = None,
    within: Mask | None = None,
) -> Mask:
    """Choose the weights of `model` to keep; the model is not changed.

    Args:
        criterion, granularity: an object, or a name in `CRITERIA`, `GRANULARITIES` for its defaults.
        ratio: how many groups stay; None with a pattern, which says so itself.
        layers, skip_first_conv, skip_last_linear: see `pruning.layers.weight_names`.
        data: batches of `(inputs, labels)` for criteria that need them.
        within: an earlier mask: what it removed stays removed, and counts as removed, so that
            masks of rising sparsity nest whatever the criterion.

    Returns:
        The mask of the chosen layers' weights.

    Raises:
        ValueError: an unknown name, scores that are not numbers, a `within` of other shapes, a
            tensor whose shape the granularity cannot cut, a pattern with a ratio or groups without.
    """
    judge: Criterion = choose("criterion", criterion, CRITERIA)() if isinstance(criterion, str) else criterion
    groups = choose("granularity", granularity, GRANULARITIES)() if isinstance(granularity, str) else granularity
    if ratio is not None and (isinstance(ratio, type) or not hasattr(ratio, "select")):
        raise ValueError(f"ratio is a rule that shares out a sparsity, Uniform(0.5) or Global(0.5), not {ratio!r}.")
    if isinstance(groups, Pattern) and ratio is not None:
        raise ValueError(f"{groups} fixes by itself how many weights stay; leave out the ratio {ratio}.")
    if not isinstance(groups, Pattern) and ratio is None:
        raise ValueError(f"{groups} needs a ratio: how many of its groups stay, for example Uniform(0.5).")
    if within is not None:
        within.check(model)
    names = weight_names(model, layers, skip_first_conv=skip_first_conv, skip_last_linear=skip_last_linear)
    scores = judge.scores(model, names, data)
    for name in names:
        if bool(scores[name].amin().isnan()):  # the least of numbers and a NaN is NaN
            raise ValueError(f"{judge} gives a score to {name} that is not a number. Has the training diverged?")
    shapes = {name: model.get_parameter(name).shape for name in names}
    scores = {name: scores[name].cpu().expand(shapes[name]) for name in names}
    if isinstance(groups, Pattern):
        mask = Mask({name: _best(groups, judge.p, name, scores[name], within) for name in names})
    else:
        assert ratio is not None  # refused above
        kept = ratio.select({name: _pooled(groups, judge.p, name, scores[name], within) for name in names})
        mask = Mask({name: groups.expand(kept[name], shapes[name]) for name in names})
    return mask if within is None else Mask({name: (mask & within)[name] for name in names})


def mask_rule(
    *,
    criterion: Criterion | str,
    granularity: Granularity | Pattern | str,
    ratio: Callable[[float], Ratio],
    layers: Sequence[str] | None = None,
    data: Batches | None = None,
) -> MaskAt:
    """`mask_at` for schedules: `make_mask` with these choices, at the sparsity that the schedule asks for.

    Args:
        ratio: sparsity → ratio: `Global`, `Uniform`, or a function that sets their options.
        criterion, granularity, layers, data: see `make_mask`.
    """

    def mask_at(model: nn.Module, sparsity: float, within: Mask | None) -> Mask:
        return make_mask(
            model,
            criterion=criterion,
            granularity=granularity,
            ratio=ratio(sparsity),
            layers=layers,
            data=data,
            within=within,
        )

    return mask_at


def fitting_layers(model: nn.Module, granularity: Granularity | Pattern) -> tuple[list[str], dict[str, str]]:
    """The layers whose weights `granularity` can cut, for `layers=`; and layer → why not, of the others."""
    fitting, left_out = [], {}
    for name, layer in weight_layers(model).items():
        scores = torch.zeros(layer.weight.shape)
        try:
            granularity.best(scores, 1.0) if isinstance(granularity, Pattern) else granularity.pool(scores, 1.0)
        except ValueError as error:
            left_out[name] = str(error)
        else:
            fitting.append(name)
    return fitting, left_out


def _best(pattern: Pattern, p: float, name: str, scores: torch.Tensor, within: Mask | None) -> torch.Tensor:
    if within is not None and name in within:
        scores = scores.masked_fill(~within[name], -torch.inf)
    with _named(name, scores.shape):
        return pattern.best(scores, p)


def _pooled(groups: Granularity, p: float, name: str, scores: torch.Tensor, within: Mask | None) -> torch.Tensor:
    with _named(name, scores.shape):
        pooled = groups.pool(scores, p)
        if within is None or name not in within:
            return pooled
        gone = groups.pool(within[name].float(), float("inf")) == 0
    return pooled.masked_fill(gone, -torch.inf)


@contextmanager
def _named(name: str, shape: torch.Size) -> Iterator[None]:
    """Put the tensor's name and shape before what a granularity says of it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name} of shape {list(shape)}: {error}") from error
