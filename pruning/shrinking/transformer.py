"""Attention heads and hidden units of transformers, taken out for good.

A head is a block of rows of the query, key and value projections and the same block of columns of
the output projection (Michel et al. 2019, arXiv 1905.10650, prune by whole heads). Where its
columns are zero, or its value rows and biases, it adds nothing, and all four blocks can go. The
hidden units of a feed-forward pair are plain output units of its first layer: between the two is
an activation that keeps zero at zero.

Blocks are found by structure, as in Hugging Face's BERT and models built like it: a module with
linear layers `query`, `key`, `value`, and beside it `output.dense`. A layer that would lose all its
heads is refused: `remove_blocks` takes out the whole layer.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pruning.criteria import Batches, Criterion
from pruning.granularity import Heads
from pruning.mask import Mask
from pruning.ratios import Ratio
from pruning.shrinking.compare import outputs_of, require_same
from pruning.shrinking.filters import shrink
from pruning.shrinking.scores import scores_of
from pruning.shrinking.surgery import keep_inputs, keep_outputs
from pruning.shrinking.trace import Trace


@dataclass(frozen=True)
class Attention:
    """One block of attention: the names of its layers, and its heads.

    Attributes:
        name: the module that holds `query`, `key` and `value`.
    """

    name: str
    query: str
    key: str
    value: str
    output: str
    heads: int
    head_size: int

    @property
    def inner(self) -> tuple[str, str, str]:
        """The projections whose rows are heads."""
        return self.query, self.key, self.value


def attention_blocks(model: nn.Module) -> list[Attention]:
    """All blocks of attention that have the known structure, in the model's order."""
    blocks = []
    for name, module in model.named_modules():
        heads = getattr(module, "num_attention_heads", None)
        inner = [f"{name}.{own}".lstrip(".") for own in ("query", "key", "value")]
        output = f"{name.rpartition('.')[0]}.output.dense".lstrip(".")
        layers = [_linear(model, layer) for layer in (*inner, output)]
        if not isinstance(heads, int) or any(layer is None for layer in layers):
            continue
        *projections, outer = (layer for layer in layers if layer is not None)
        width = outer.in_features
        if width % heads == 0 and all(layer.out_features == width for layer in projections):
            blocks.append(Attention(name, inner[0], inner[1], inner[2], output, heads, width // heads))
    return blocks


def hidden_layers(model: nn.Module) -> list[str]:
    """First layers of the feed-forward pairs, in the model's order.

    A pair is `intermediate.dense` before `output.dense` (BERT), or `linear1` before `linear2`
    (`nn.TransformerEncoderLayer`). Their output units are the hidden width: prune them like filters
    (`make_mask` with `granularity="filter"`, then `coupled`), and `shrink_hidden` takes them out.
    """
    found = []
    for name, module in model.named_modules():
        for first, second in (("intermediate.dense", "output.dense"), ("linear1", "linear2")):
            up, down = _linear(module, first), _linear(module, second)
            if up is not None and down is not None and up.out_features == down.in_features:
                found.append(f"{name}.{first}".lstrip("."))
    return found


def head_mask(
    model: nn.Module,
    *,
    criterion: Criterion | str,
    ratio: Ratio,
    data: Batches | None = None,
    within: Mask | None = None,
) -> Mask:
    """Choose the heads to keep; a head's score is the sum over its four blocks of weights.

    Args:
        criterion, data: as `make_mask` takes them.
        ratio: sees one score a head, by attention block; `keep_at_least=1` or more.
        within: an earlier mask; heads that it silences stay removed.

    Returns:
        The mask of the four projections: rows and biases of query, key, value; columns of the output.

    Raises:
        ValueError: no block of attention is found, or scores are not numbers.
    """
    blocks = _require_blocks(model)
    names = [f"{layer}.weight" for block in blocks for layer in (*block.inner, block.output)]
    scores, p = scores_of(model, names, criterion, data)
    pooled = {}
    for block in blocks:
        pooled[block.name] = torch.zeros(block.heads, dtype=torch.float64)
        for layer in (*block.inner, block.output):
            heads = Heads(block.head_size, dim=int(layer == block.output))
            pooled[block.name] += heads.pool(scores[f"{layer}.weight"], p)
        if within is not None:
            pooled[block.name][_silent(model, within, block)] = -torch.inf
    kept = ratio.select(pooled)
    keep = {}
    for block in blocks:
        for layer in (*block.inner, block.output):
            heads = Heads(block.head_size, dim=int(layer == block.output))
            keep[f"{layer}.weight"] = heads.expand(kept[block.name], model.get_parameter(f"{layer}.weight").shape)
            if layer != block.output and _linear(model, layer).bias is not None:  # type: ignore[union-attr]
                keep[f"{layer}.bias"] = kept[block.name].repeat_interleave(block.head_size)
    mask = Mask(keep)
    return mask if within is None else Mask({name: (mask & within)[name] for name in keep})


def shrink_heads(model: nn.Module, mask: Mask, example_inputs: torch.Tensor) -> nn.Module:
    """A smaller copy of `model`, without the heads that `mask` silences, that computes what the masked one does.

    A head is silent where `mask` keeps none of its output columns, or none of its value rows and
    their biases.

    Args:
        example_inputs: one batch, as the model takes it.

    Raises:
        ValueError: no block of attention is found, one would lose all its heads, or the result
            does not compute what the masked model does.
    """
    blocks = _require_blocks(model)
    mask.check(model)
    silent = {block: _silent(model, mask, block) for block in blocks}
    for block, gone in silent.items():
        if bool(gone.all()):
            raise ValueError(
                f"The mask removes all {block.heads} heads of {block.name}. "
                "Let the ratio keep some (keep_at_least=1), or take the whole layer out with remove_blocks()."
            )
    small = mask.apply_(copy.deepcopy(model))
    expected = outputs_of(small, example_inputs)
    for block, gone in silent.items():
        if not bool(gone.any()):
            continue
        kept = torch.nonzero(~gone.repeat_interleave(block.head_size)).flatten()
        for layer in block.inner:
            keep_outputs(small.get_submodule(layer), kept)
        keep_inputs(small.get_submodule(block.output), kept)
        module: Any = small.get_submodule(block.name)
        module.num_attention_heads = int((~gone).sum())
        if hasattr(module, "all_head_size"):
            module.all_head_size = len(kept)
    require_same(small, expected, example_inputs)
    return small


def shrink_hidden(model: nn.Module, mask: Mask, example_inputs: torch.Tensor | Trace) -> nn.Module:
    """A smaller copy of `model` without the hidden units that `mask` removes; other units stay, masked.

    Args:
        mask: with the biases of the removed units; see `pruning.shrinking.coupled`.

    Raises:
        ValueError: no feed-forward pair is found; see also `pruning.shrinking.shrink`.
    """
    layers = hidden_layers(model)
    if not layers:
        raise ValueError("The model has no feed-forward pair of a known structure. Name the layers to shrink().")
    return shrink(model, mask, example_inputs, layers=layers)


def _silent(model: nn.Module, mask: Mask, block: Attention) -> torch.Tensor:
    """Which heads add nothing once `mask` is applied, bool `[heads]`."""
    read, made = f"{block.output}.weight", f"{block.value}.weight"
    silent = torch.zeros(block.heads, dtype=torch.bool)
    if read in mask:
        silent |= ~mask[read].any(0).view(block.heads, -1).any(1)
    if made in mask:
        bias = f"{block.value}.bias"
        has_bias = _linear(model, block.value).bias is not None  # type: ignore[union-attr]
        left = mask.kept_units(made)
        if has_bias:
            left |= mask[bias] if bias in mask else torch.ones_like(left)
        silent |= ~left.view(block.heads, -1).any(1)
    return silent


def _require_blocks(model: nn.Module) -> list[Attention]:
    blocks = attention_blocks(model)
    if not blocks:
        raise ValueError(
            "The model has no attention of a known structure: linear layers query, key and value in a module "
            "with num_attention_heads, and beside it output.dense."
        )
    return blocks


def _linear(model: nn.Module, name: str) -> nn.Linear | None:
    """The linear layer `name` of `model`, where there is one."""
    module: nn.Module | None = model
    for part in name.split("."):
        module = getattr(module, part, None) if isinstance(module, nn.Module) else None
    return module if isinstance(module, nn.Linear) else None
