"""Train on with what is left.

Han et al. 2015 (arXiv 1506.02626, section 4) retrain with 1/10 of the original learning rate
(LeNet) or 1/100 (AlexNet). With short budgets and a schedule that decays to zero, Renda et al. 2020
(arXiv 2003.02389) find larger rates better, up to the original one: it is worth a small sweep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import nn

from pruning.mask import Mask


class MovingMask(Protocol):
    """A mask that changes while the model trains."""

    def __call__(self, model: nn.Module, step: int, steps: int, /) -> Mapping[str, torch.Tensor] | None:
        """Asked before optimizer step `step` of 0…steps − 1; `.grad` holds the gradients, of removed weights too.

        Returns:
            The whole new mask, or None for no change.
        """
        ...


class Train(Protocol):
    """A training loop, such as the harness's `Context.train`.

    It must hold the weights that `mask` removes at zero after each step: the gradient of a removed
    weight is not zero, and momentum and weight decay would move it.

    A moving mask it must ask before each optimizer step, apply the answer at once, and clear the
    optimizer's momentum of weights that newly grow or fall. The last answer holds at the end.
    """

    def __call__(
        self,
        model: nn.Module,
        *,
        epochs: int,
        learning_rate: float | None = None,
        mask: Mapping[str, torch.Tensor] | MovingMask | None = None,
    ) -> nn.Module: ...


def fine_tune(
    model: nn.Module, mask: Mask, *, train: Train, epochs: int, learning_rate: float | None = None
) -> nn.Module:
    """Apply `mask`, train what is kept for `epochs` (0: not at all), and return the model.

    Args:
        learning_rate: the peak; None for the training loop's own.

    Raises:
        ValueError: `epochs` is negative, or the mask does not fit the model.
    """
    if epochs < 0:
        raise ValueError(f"Fine-tuning takes 0 epochs or more, not {epochs}.")
    mask.apply_(model)
    return train(model, epochs=epochs, learning_rate=learning_rate, mask=mask) if epochs else model
