"""What is pruned together: one file a granularity, from single weights to whole filters.

A granularity cuts a weight tensor into groups of equal size. It says how the scores of a group's
weights become one score, and turns "these groups are kept" back into a mask over the weights
(Mao et al. 2017, arXiv 1705.08922, section 3). Weights are in PyTorch's layout: linear
`[out, in]`, convolution `[c_o, c_i, k_h, k_w]`.

A pattern is the other kind: it says by itself which weights of a tensor may stay together, and so
also how many. It takes no ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch

from pruning.granularity.block import Block
from pruning.granularity.channel import Channel
from pruning.granularity.element import Element
from pruning.granularity.filter import Filter
from pruning.granularity.heads import Heads
from pruning.granularity.kernel import Kernel
from pruning.granularity.load_balanced import LoadBalanced
from pruning.granularity.nm import NM
from pruning.granularity.patterns import KernelPatterns
from pruning.granularity.pooling import lp_norm
from pruning.granularity.vector import Vector

__all__ = [
    "GRANULARITIES",
    "NM",
    "Block",
    "Channel",
    "Element",
    "Filter",
    "Granularity",
    "Heads",
    "Kernel",
    "KernelPatterns",
    "LoadBalanced",
    "Pattern",
    "Vector",
    "lp_norm",
]


class Granularity(Protocol):
    """How a weight tensor of a given shape is cut into groups; the group order is fixed by the shape.

    Attributes:
        shrinkable: whether a group that is pruned can be taken out of the network; may be left out, and is false then.
        several_layers: whether a group lies in several layers; may be left out, and is false then.

    Every method raises ValueError for a shape that cannot be cut so; the caller adds the tensor's name.
    """

    def group_size(self, shape: torch.Size) -> int:
        """Weights in one group."""
        ...

    def pool(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        """Scores of single weights, in the weight's shape → one score a group, floating point `[groups]`."""
        ...

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Groups kept, bool `[groups]` → weights kept, bool in `shape`."""
        ...


@runtime_checkable
class Pattern(Protocol):
    """Which weights of one tensor stay, where the pattern itself fixes their number."""

    def best(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        """Scores in the weight's shape → weights kept, bool in that shape.

        Weights of score -inf are gone already: they are chosen only where the pattern has no other
        choice.

        Raises:
            ValueError: the pattern does not fit the shape.
        """
        ...


GRANULARITIES: Mapping[str, Callable[..., Granularity | Pattern]] = {
    "element": Element,
    "vector": Vector,
    "kernel": Kernel,
    "filter": Filter,
    "channel": Channel,
    "block": Block,
    "nm": NM,
    "patterns": KernelPatterns,
    "load_balanced": LoadBalanced,
    "heads": Heads,
}
