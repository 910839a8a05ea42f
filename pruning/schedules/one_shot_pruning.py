"""Prune once, recover once."""

from __future__ import annotations

from torch import nn

from pruning.mask import Mask
from pruning.masking import MaskAt
from pruning.recovery.fine_tuning import Train, fine_tune
from pruning.schedules.schedule import Schedule


def one_shot(
    model: nn.Module,
    mask_at: MaskAt,
    *,
    sparsity: float,
    train: Train,
    epochs: int,
    learning_rate: float | None = None,
) -> tuple[nn.Module, Mask]:
    """Remove the share `sparsity`, then fine-tune for `epochs`.

    Args:
        mask_at: `(model, sparsity, None) → mask`.

    Returns:
        The model, changed in place, and its mask.
    """
    mask = mask_at(model, sparsity, None)
    return fine_tune(model, mask, train=train, epochs=epochs, learning_rate=learning_rate), mask


ONE_SHOT = Schedule(one_shot)
