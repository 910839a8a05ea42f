"""What an allocation may ask about a model: one description for all of them.

A ratio sees scores alone. Rules that need more (shapes, accuracy, cost) are allocations: they take
a `Problem` and return a `PerLayer` ratio. Choosing weights, evaluating, training and measuring come
in as plain callables.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from pruning.mask import Mask
from pruning.names import nearest
from pruning.ratios.per_layer import PerLayer


@dataclass(frozen=True)
class Problem:
    """A model to prune, and how it is pruned and judged. The model is never changed, only copied.

    Attributes:
        names: parameters to prune, in the order in which inputs pass them.
        mask_at: `(model, ratio, earlier mask or None) → mask`; a few lines around `pruning.masking.make_mask`
            with `layers=` set so that it prunes exactly `names`.
        evaluate: the metric on validation data, higher is better; AMC takes it as an accuracy in 0…1.
        train: short-term fine-tuning, `(model, mask) → model`; it may work in place.
        example_inputs: one batch as the model takes it, for shapes and multiply-accumulates.
        shrink: `(masked model, mask) → smaller model`, whose cost then counts.
        latency: time of one inference of a model, in ns; may be any cost above 1.
        multiple_of, keep_at_least: rounding of the groups kept in each layer; see `PerLayer`.
        group_dim: along which dimension of a weight its groups lie: 0 for filters, 1 for input channels.

    Raises:
        ValueError: no names, a name given twice, or one that the model lacks.
    """

    model: nn.Module
    names: tuple[str, ...]
    mask_at: Callable[[nn.Module, PerLayer, Mask | None], Mask]
    evaluate: Callable[[nn.Module], float] | None = None
    train: Callable[[nn.Module, Mask], nn.Module] | None = None
    example_inputs: torch.Tensor | None = None
    shrink: Callable[[nn.Module, Mask], nn.Module] | None = None
    latency: Callable[[nn.Module], float] | None = None
    multiple_of: int = 1
    keep_at_least: int = 1
    group_dim: int = 0

    # What a configuration may set of it, or have filled in: short-term fine-tuning, measured latency.
    OPTIONS: ClassVar = ("multiple_of", "keep_at_least", "fine_tune", "by_latency")

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        known = dict(self.model.named_parameters())
        if not self.names:
            raise ValueError("The problem names no parameter to prune (names=).")
        for name in self.names:
            if name not in known:
                raise ValueError(f"The model has no parameter {name!r} to prune. {nearest(name, known)}")
            if self.names.count(name) > 1:
                raise ValueError(f"{name!r} is named twice in names=.")

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Parameter name → shape."""
        return {name: self.model.get_parameter(name).shape for name in self.names}

    @property
    def widths(self) -> dict[str, int]:
        """Parameter name → number of its groups, counted along `group_dim`."""
        return {name: shape[self.group_dim] for name, shape in self.shapes.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Parameter name → number of weights."""
        return {name: self.model.get_parameter(name).numel() for name in self.names}

    def ratio(self, sparsity: Mapping[str, float]) -> PerLayer:
        """The ratio for these shares, with the problem's rounding."""
        return PerLayer(sparsity, multiple_of=self.multiple_of, keep_at_least=self.keep_at_least)

    def masked(self, sparsity: Mapping[str, float]) -> tuple[nn.Module, Mask]:
        """A masked copy of the model, and its mask."""
        mask = self.mask_at(self.model, self.ratio(sparsity), None)
        return mask.apply_(copy.deepcopy(self.model)), mask

    def evaluator(self, rule: str) -> Callable[[nn.Module], float]:
        """`evaluate`, for the rule of this name; it raises ValueError for a number that is not finite.

        Raises:
            ValueError: there is none.
        """
        if self.evaluate is None:
            raise ValueError(f"{rule} judges pruned models by their accuracy: give the problem an evaluate=.")
        evaluate = self.evaluate

        def judge(model: nn.Module) -> float:
            value = float(evaluate(model))
            if not math.isfinite(value):
                raise ValueError(f"{rule} needs a finite number for a pruned model; evaluate= gave {value}.")
            return value

        return judge
