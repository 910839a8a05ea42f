"""Prune a little, recover, and again (Han et al. 2015, arXiv 1506.02626, section 3.4).

The network sees each loss while it is small. Linear steps remove the same number of weights each
time; geometric steps remove the same share of what is left, as in Frankle & Carbin 2019,
arXiv 1803.03635, section 1: large steps while there is much to spare, small ones at the end.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from pruning.mask import Mask
from pruning.masking import MaskAt
from pruning.recovery.fine_tuning import Train, fine_tune
from pruning.schedules.schedule import Schedule

Spacing = Literal["linear", "geometric"]


def iterative(
    model: nn.Module,
    mask_at: MaskAt,
    *,
    sparsity: float,
    train: Train,
    epochs: int,
    learning_rate: float | None = None,
    steps: int = 3,
    spacing: Spacing = "linear",
) -> tuple[nn.Module, Mask]:
    """Reach `sparsity` in `steps`, with `epochs` of fine-tuning after each.

    Args:
        mask_at: `(model, sparsity, previous mask) → mask`; it is given the mask of the step before
            (None in the first), and what that removed stays removed.

    Returns:
        The model, changed in place, and its last mask.

    Raises:
        ValueError: see `sparsities`.
    """
    mask: Mask | None = None
    for share in sparsities(sparsity, steps, spacing):
        chosen = mask_at(model, share, mask)
        mask = chosen if mask is None else chosen & mask
        model = fine_tune(model, mask, train=train, epochs=epochs, learning_rate=learning_rate)
    assert mask is not None  # there is at least one step
    return model, mask


ITERATIVE = Schedule(iterative, several=True)


def sparsities(final: float, steps: int, spacing: Spacing = "linear") -> list[float]:
    """The sparsity after each step, rising to `final` exactly.

    Linear: `final · i/steps`. Geometric: `1 − (1 − final)^(i/steps)`.

    Raises:
        ValueError: fewer than one step, `final` not in 0…1, an unknown spacing, or geometric steps
            to 1, which no share of what is left ever reaches.
    """
    if steps < 1:
        raise ValueError(f"Iterative pruning takes 1 step or more, not {steps}.")
    if not 0 <= final <= 1:
        raise ValueError(f"Sparsity is the share that is removed, in 0…1, not {final}.")
    if spacing == "linear":
        before = [final * i / steps for i in range(1, steps)]
    elif spacing == "geometric":
        if final == 1:
            raise ValueError("Geometric steps never reach sparsity 1; use linear steps.")
        before = [1 - (1 - final) ** (i / steps) for i in range(1, steps)]
    else:
        raise ValueError(f"There is no spacing of steps named {spacing!r}. Known: geometric, linear.")
    return [*before, final]
