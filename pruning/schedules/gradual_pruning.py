"""Prune while training, fast at first and ever more slowly (Zhu & Gupta 2017, arXiv 1710.01878).

Their equation 1 gives the sparsity after step t, from s_i at step t₀ to s_f at step t₀ + nΔt:

    s_t = s_f + (s_i − s_f) · (1 − (t − t₀) / (nΔt))³

There is much to spare at the beginning and little at the end, hence the cube. The rest of the
training, at full sparsity, is the recovery: there is no fine-tuning after it.

A weight that has been removed stays zero here, so the masks nest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from pruning.mask import Mask
from pruning.masking import MaskAt
from pruning.ratios.counting import check_sparsity
from pruning.recovery.fine_tuning import Train
from pruning.schedules.schedule import Schedule


def gradual(
    model: nn.Module,
    mask_at: MaskAt,
    *,
    sparsity: float,
    train: Train,
    epochs: int,
    learning_rate: float | None = None,
    initial: float = 0.0,
    begin: float = 0.0,
    end: float = 0.75,
    every: int = 100,
) -> tuple[nn.Module, Mask]:
    """Reach `sparsity` along the cubic curve within one training of `epochs`.

    Args:
        mask_at: `(model, sparsity, previous mask) → mask`, called during training.
        train: asks a moving mask before each optimizer step.
        initial, begin, end, every: see `GradualMask`.

    Returns:
        The model, changed in place, and its last mask.

    Raises:
        ValueError: fewer than one epoch, a number out of its range, or a training that did not
            come to the step at which `sparsity` is reached.
    """
    if epochs < 1:
        raise ValueError(f"Gradual pruning happens while the model trains, so it takes 1 epoch or more, not {epochs}.")
    moving = GradualMask(mask_at, sparsity, initial=initial, begin=begin, end=end, every=every)
    model = train(model, epochs=epochs, learning_rate=learning_rate, mask=moving)
    if moving.mask is None or not moving.complete:
        raise ValueError(
            f"The training ended before sparsity {sparsity} was reached: train= must ask a moving mask "
            "before each of its optimizer steps."
        )
    return model, moving.mask


GRADUAL = Schedule(gradual, several=True, trains=True)


@dataclass
class GradualMask:
    """A moving mask whose sparsity follows the cubic curve; for one training.

    Attributes:
        initial: sparsity of the first mask (s_i).
        begin, end: where the curve begins and ends, as shares of the training, in 0…1. The last
            mask comes no later than the last optimizer step.
        every: optimizer steps from one mask to the next (Δt).
        mask: the last mask, None before the first.
        complete: whether the end of the curve was reached.

    Raises:
        ValueError: a number out of its range.
    """

    mask_at: MaskAt
    sparsity: float
    initial: float = 0.0
    begin: float = 0.0
    end: float = 0.75
    every: int = 100
    mask: Mask | None = field(default=None, init=False)
    complete: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)
        check_sparsity(self.initial)
        if self.initial > self.sparsity:
            raise ValueError(f"initial={self.initial} is above the final sparsity {self.sparsity}; masks only shrink.")
        if not 0 <= self.begin <= self.end <= 1:
            raise ValueError(f"Shares of the training must be 0 ≤ begin ≤ end ≤ 1, not {self.begin} and {self.end}.")
        if self.every < 1:
            raise ValueError(f"every= is a number of optimizer steps, 1 or more, not {self.every}.")

    def __call__(self, model: nn.Module, step: int, steps: int, /) -> Mask | None:
        end = min(round(self.end * steps), steps - 1)
        begin = min(round(self.begin * steps), end)
        on_time = (step - begin) % self.every == 0 or step == end
        if not (begin <= step <= end and on_time):
            return None
        share = cubic(step, initial=self.initial, final=self.sparsity, begin=begin, end=end)
        chosen = self.mask_at(model, share, self.mask)
        self.mask = chosen if self.mask is None else chosen & self.mask
        self.complete = step == end
        return self.mask


def cubic(step: int, *, initial: float, final: float, begin: int, end: int) -> float:
    """The sparsity at `step`: `initial` up to step `begin`, `final` from step `end`, equation 1 between."""
    if step >= end:
        return final
    if step <= begin:
        return initial
    left = 1 - (step - begin) / (end - begin)
    return final + (initial - final) * left**3
