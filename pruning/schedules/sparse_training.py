"""RigL: train sparse from the start, and let the connections move (Evci et al. 2020, arXiv 1911.11134).

Every ΔT steps each layer drops the connections of smallest magnitude and grows as many where the
gradient is largest: there the loss would fall fastest, were the weight not held at zero. Algorithm 1
of the paper. The share that moves shrinks along a half cosine, to nothing at step T_end:

    f(t) = α/2 · (1 + cos(t·π / T_end))

The count of connections in each layer never changes. A connection that is dropped may be grown
again at once; it then keeps its weight. All others start at zero. Unlike the paper's loop, which
spends a step on the move, the optimizer's step is taken as well, with the gradients that are there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import nn

from pruning.mask import Mask
from pruning.masking import MaskAt
from pruning.ratios.counting import keep_best
from pruning.recovery.fine_tuning import Train
from pruning.schedules.schedule import Schedule


def rigl(
    model: nn.Module,
    mask_at: MaskAt,
    *,
    sparsity: float,
    train: Train,
    epochs: int,
    learning_rate: float | None = None,
    every: int = 100,
    fraction: float = 0.3,
    end: float = 0.75,
) -> tuple[nn.Module, Mask]:
    """Train with a mask of constant `sparsity` that moves.

    Args:
        model: as the training should find it; the paper starts from a fresh initialisation.
        mask_at: `(model, sparsity, None) → mask`, the first one. The paper draws it at random, of
            uniform or Erdős–Rényi-Kernel density; single weights move, so no coarser granularity lasts.
        train: asks a moving mask before each optimizer step.
        every, fraction, end: see `RigLMask`.

    Returns:
        The model, changed in place, and its last mask.

    Raises:
        ValueError: fewer than one epoch, a number out of its range, or a training that never asked.
    """
    if epochs < 1:
        raise ValueError(f"RigL moves its mask while the model trains, so it takes 1 epoch or more, not {epochs}.")
    moving = RigLMask(mask_at(model, sparsity, None), every=every, fraction=fraction, end=end)
    moving.mask.apply_(model)
    model = train(model, epochs=epochs, learning_rate=learning_rate, mask=moving)
    if not moving.asked:
        raise ValueError("The training never asked for its mask: train= must take a moving mask.")
    return model, moving.mask


RIGL = Schedule(rigl, several=True, trains=True, single_weights=True)


@dataclass
class RigLMask:
    """A moving mask that drops by magnitude and grows by gradient; for one training.

    Attributes:
        mask: the first mask, and then the last.
        every: optimizer steps from one move to the next (ΔT).
        fraction: of each layer's connections, the share that moves at first (α), in 0…1.
        end: the share of the training after which nothing moves (T_end), in 0…1.
        asked: whether a training has asked for the mask.

    Raises:
        ValueError: a number out of its range; when asked, a masked parameter without a gradient.
    """

    mask: Mask
    every: int = 100
    fraction: float = 0.3
    end: float = 0.75
    asked: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every= is a number of optimizer steps, 1 or more, not {self.every}.")
        if not (0 <= self.fraction <= 1 and 0 <= self.end <= 1):
            raise ValueError(f"fraction= and end= are shares, in 0…1, not {self.fraction} and {self.end}.")

    def __call__(self, model: nn.Module, step: int, steps: int, /) -> Mask | None:
        self.asked = True
        if step == 0:
            return self.mask
        if step % self.every or step >= self.end * steps:
            return None
        share = moving_share(step, fraction=self.fraction, end=self.end * steps)
        moved = {}
        for name, keep in self.mask.items():
            parameter = model.get_parameter(name)
            if parameter.grad is None:
                raise ValueError(f"{name} has no gradient to grow by: train it, or leave it out of the mask.")
            moved[name] = move(parameter.detach(), parameter.grad, keep, int(share * int(keep.sum())))
        self.mask = Mask(moved)
        return self.mask


def moving_share(step: int, *, fraction: float, end: float) -> float:
    """`fraction/2 · (1 + cos(step·π / end))`, for `step` in 0…`end`."""
    return fraction / 2 * (1 + math.cos(math.pi * step / end))


def move(weight: torch.Tensor, gradient: torch.Tensor, keep: torch.Tensor, count: int) -> torch.Tensor:
    """Drop the `count` kept weights of least magnitude, then grow `count` of largest gradient.

    Args:
        weight, gradient, keep: of one shape; `keep` is bool.
        count: at most the number of weights kept.

    Returns:
        The new mask, bool in the same shape, with as many weights kept as in `keep`.
    """
    kept = keep.flatten()
    magnitude = weight.abs().flatten().cpu().masked_fill(~kept, -torch.inf)
    stays = keep_best(magnitude, int(kept.sum()) - count)
    slope = gradient.abs().flatten().cpu().masked_fill(stays, -torch.inf)
    return (stays | keep_best(slope, count)).reshape(keep.shape)
