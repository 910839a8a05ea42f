"""Scores drawn at random: the control that every criterion must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from pruning.criteria.batches import Batches
from pruning.criteria.layout import Unit


@dataclass(frozen=True)
class Random:
    """Uniform in 0…1, from `seed` alone.

    A group scores as its largest weight (p = inf), so under a global ratio large groups outlive
    small ones; with structured granularities compare within layers, by a uniform ratio.
    """

    seed: int = 0
    p: float = float("inf")
    unit: ClassVar[Unit] = "weight"
    needs_data: ClassVar[bool] = False

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        shapes = {name: model.get_parameter(name).shape for name in names}
        return {name: torch.rand(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
