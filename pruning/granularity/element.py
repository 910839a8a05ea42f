"""Single weights (Han et al. 2015, arXiv 1506.02626, section 3): the finest granularity, and irregular."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Element:
    """Each weight by itself; groups are in row-major order, and scores keep their precision."""

    def group_size(self, shape: torch.Size) -> int:
        return 1

    def pool(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        return scores.flatten() if scores.is_floating_point() else scores.flatten().double()

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return kept.reshape(shape)
