"""Prune once, recover once."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from pruning.mask import Mask
from pruning.recovery.fine_tuning import Train, fine_tune

MaskAt = Callable[[nn.Module, float, Mask | None], Mask]


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
