"""Out for good: what a mask removes whole leaves the network, and what is left is small and dense.

    filters      filters and rows, with all that falls along    prunable_filters, coupled, shrink
    joint        whole residual streams, and input channels     joined_filters, joint_mask, from_channels
    transformer  attention heads and hidden width               head_mask, shrink_heads, shrink_hidden
    depth        whole blocks                                   removable_blocks, block_importance, remove_blocks
    folding      layers without a non-linearity between them    with_prelu, linearise, fold

The first three compute what the masked model computes; a run of both on example inputs checks it
each time. `trace`, `follow` and `operators` find out how the layers hang together.
"""

from __future__ import annotations

from pruning.shrinking.depth import block_importance, removable_blocks, remove_blocks
from pruning.shrinking.filters import coupled, left_over, prunable_filters, shrink
from pruning.shrinking.folding import fold, linearise, with_prelu
from pruning.shrinking.joint import from_channels, joined_filters, joint_mask
from pruning.shrinking.trace import Trace
from pruning.shrinking.transformer import attention_blocks, head_mask, hidden_layers, shrink_heads, shrink_hidden

__all__ = [
    "Trace",
    "attention_blocks",
    "block_importance",
    "coupled",
    "fold",
    "from_channels",
    "head_mask",
    "hidden_layers",
    "joined_filters",
    "joint_mask",
    "left_over",
    "linearise",
    "prunable_filters",
    "removable_blocks",
    "remove_blocks",
    "shrink",
    "shrink_heads",
    "shrink_hidden",
    "with_prelu",
]
