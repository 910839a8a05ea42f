"""Whole attention heads (Michel et al. 2019, arXiv 1905.10650)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from pruning.granularity.pooling import lp_norm


@dataclass(frozen=True)
class Heads:
    """The weights of one head: rows of a query, key or value projection, or columns of the output's.

    Head h has the rows (columns) `h·head_size … (h+1)·head_size - 1`. To choose heads by all four
    projections at once, see `pruning.shrinking.transformer.head_mask`.

    Attributes:
        head_size: 64 in BERT-base, GPT-2 and ViT; 32 in MiniLM of 12 heads.
        dim: 0 for rows, 1 for columns.
        normalise: take the mean in place of the sum in the Lp norm.

    Raises:
        ValueError: `head_size` is below 1, or `dim` is neither 0 nor 1.
    """

    head_size: int = 64
    dim: int = 0
    normalise: bool = False

    shrinkable: ClassVar[bool] = True
    several_layers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.head_size < 1:
            raise ValueError(f"A head has 1 row or more, not head_size={self.head_size}.")
        if self.dim not in (0, 1):
            raise ValueError(f"Heads lie along dimension 0 (rows) or 1 (columns), not dim={self.dim}.")

    def group_size(self, shape: torch.Size) -> int:
        return math.prod(shape) // self._heads(shape)

    def pool(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        heads = self._heads(scores.shape)
        by_head = scores.double().movedim(self.dim, 0).reshape(heads, -1)
        return lp_norm(by_head, p, normalise=self.normalise)

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        self._heads(shape)
        along = kept.repeat_interleave(self.head_size)
        return (along[:, None] if self.dim == 0 else along[None, :]).expand(shape).clone()

    def _heads(self, shape: torch.Size) -> int:
        if len(shape) != 2:
            raise ValueError(f"Heads are rows or columns of a linear layer [out, in], not of shape {list(shape)}.")
        heads, rest = divmod(shape[self.dim], self.head_size)
        if rest or not heads:
            raise ValueError(f"{shape[self.dim]} along dimension {self.dim} are no multiple of the head size.")
        return heads
