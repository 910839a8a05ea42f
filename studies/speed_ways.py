"""The ways to take work out of a network that the study of speed compares: `(lab, ratio) → network`.

A way raises `ValueError` with the reason where the network cannot be pruned so.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from pruning import (
    NM,
    Mask,
    Uniform,
    attention_blocks,
    block_importance,
    coupled,
    fold,
    head_mask,
    joined_filters,
    joint_mask,
    make_mask,
    prunable_filters,
    removable_blocks,
    remove_blocks,
    shrink,
    shrink_heads,
    to_int8,
    weight_layers,
)
from studies.lab import Lab

EIGHTS = 8  # channels: a vector of float32 in AVX2, half of one in AVX-512


def single_weights(lab: Lab, ratio: float) -> nn.Module:
    """Zeros anywhere."""
    mask = make_mask(lab.dense, criterion="magnitude", granularity="element", ratio=Uniform(ratio))
    return mask.apply_(lab.model())


def two_of_four(lab: Lab, ratio: float) -> nn.Module:
    """Zeros in two of every four weights, wherever `ratio` is a half."""
    if ratio != 0.5:
        raise ValueError("2:4 removes a half")
    return make_mask(lab.dense, criterion="magnitude", granularity=NM(2, 4), skip_first_conv=True).apply_(lab.model())


def masked_filters(lab: Lab, ratio: float) -> nn.Module:
    """Whole filters, set to zero."""
    return _filters(lab, Uniform(ratio, keep_at_least=1)).apply_(lab.model())


def filters(lab: Lab, ratio: float) -> nn.Module:
    """Whole filters, taken out."""
    return shrink(lab.model(), _filters(lab, Uniform(ratio, keep_at_least=1)), lab.context(0).data.sample[:2])


def filters_in_eights(lab: Lab, ratio: float) -> nn.Module:
    """Whole filters, taken out so that multiples of eight are left."""
    mask = _filters(lab, Uniform(ratio, multiple_of=EIGHTS))
    return shrink(lab.model(), mask, lab.context(0).data.sample[:2])


def streams_in_eights(lab: Lab, ratio: float) -> nn.Module:
    """The channels of residual streams too: all layers get narrower."""
    inputs = lab.context(0).data.sample[:2]
    groups = joined_filters(lab.dense, inputs)
    if not groups:
        raise ValueError("the network has no residual stream that can be narrowed")
    groups += [[name] for name in prunable_filters(lab.dense, inputs)]
    mask = joint_mask(lab.dense, groups, criterion="magnitude", ratio=Uniform(ratio, multiple_of=EIGHTS))
    return shrink(lab.model(), coupled(lab.dense, mask, inputs), inputs)


def blocks(lab: Lab, ratio: float) -> nn.Module:
    """Whole residual blocks, those first that change least what passes them."""
    inputs = lab.context(0).data.sample[:2]
    names = removable_blocks(lab.dense, inputs)
    count = round(ratio * len(names))
    if not count:
        raise ValueError("the network has too few blocks that can be skipped")
    importance = block_importance(lab.model(), names, lab.batches(1))
    return remove_blocks(lab.model(), sorted(names, key=lambda name: importance[name])[:count], inputs)


def heads(lab: Lab, ratio: float) -> nn.Module:
    """Attention heads, the same share in every block."""
    if not attention_blocks(lab.dense):
        raise ValueError("the network has no attention heads")
    mask = head_mask(lab.dense, criterion="magnitude", ratio=Uniform(ratio, keep_at_least=1))
    return shrink_heads(lab.model(), mask, lab.context(0).data.sample[:2])


def folded(lab: Lab, ratio: float) -> nn.Module:
    """The first activations dropped, and the layers around them merged."""
    model = lab.model()
    activations = [name for name, module in model.named_modules() if isinstance(module, nn.ReLU)]
    for name in activations[: round(ratio * len(activations))]:
        model.set_submodule(name, nn.Identity())
    merged = fold(model)
    if len(weight_layers(merged)) == len(weight_layers(model)):
        raise ValueError("no two of the network's layers can merge")
    return merged


def integers(lab: Lab, ratio: float) -> nn.Module:
    """All weights, and what flows between the layers, in 8 bits, none removed."""
    return to_int8(lab.model(), data=lab.batches(1))


WAYS: dict[str, Callable[[Lab, float], nn.Module]] = {
    "single weights, zeroed": single_weights,
    "2:4, zeroed": two_of_four,
    "filters, zeroed": masked_filters,
    "filters, taken out": filters,
    "filters, multiples of 8 left": filters_in_eights,
    "residual streams too, multiples of 8": streams_in_eights,
    "attention heads": heads,
    "whole blocks": blocks,
    "layers merged": folded,
    "8-bit integers": integers,
}
WITHOUT_RATIO = ("8-bit integers",)
ZEROED = tuple(way for way in WAYS if way.endswith("zeroed"))


def _filters(lab: Lab, ratio: Uniform) -> Mask:
    inputs = lab.context(0).data.sample[:2]
    mask = make_mask(
        lab.dense, criterion="magnitude", granularity="filter", ratio=ratio, layers=prunable_filters(lab.dense, inputs)
    )
    return coupled(lab.dense, mask, inputs)
