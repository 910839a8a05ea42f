"""Exactly how many: the rules of rounding and of ties that all ratios share.

- Of n groups, `round(sparsity · n)` are removed, halves to the even number. The product is exact:
  0.145 means 145/1000, not the binary fraction next to it.
- Of equal scores, the group with the lower index is kept.
- `multiple_of` rounds the number *kept* up, never beyond n.
"""

from __future__ import annotations

from fractions import Fraction

import torch


def check_sparsity(sparsity: float) -> None:
    """Raises ValueError: `sparsity` is not in 0…1."""
    if not 0 <= sparsity <= 1:
        raise ValueError(f"Sparsity is the share that is removed, in 0…1, not {sparsity}.")


def check_rounding(multiple_of: int, keep_at_least: int) -> None:
    """Raises ValueError: `multiple_of` is below 1, or `keep_at_least` below 0."""
    if multiple_of < 1:
        raise ValueError(f"multiple_of must be 1 or more, not {multiple_of}.")
    if keep_at_least < 0:
        raise ValueError(f"keep_at_least must be 0 or more, not {keep_at_least}.")


def kept_count(groups: int, sparsity: float) -> int:
    """How many of `groups` stay."""
    return groups - round(Fraction(repr(float(sparsity))) * groups)


def rounded_up(kept: int, groups: int, *, multiple_of: int, keep_at_least: int) -> int:
    """`kept`, but no fewer than `keep_at_least`, rounded up to a multiple, and at most `groups`."""
    kept = max(kept, keep_at_least)
    return min(groups, -(-kept // multiple_of) * multiple_of)


def keep_best(scores: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` highest of `scores` `[groups]`, as bool `[groups]`.

    The lowest score that stays is selected in linear time; a full sort would be ten times slower.
    """
    scores = scores.cpu()
    if not 0 < count < len(scores):
        return torch.full(scores.shape, count > 0)
    lowest = scores.kthvalue(len(scores) - count + 1).values
    kept = scores > lowest
    ties = torch.nonzero(scores == lowest).flatten()
    kept[ties[: count - int(kept.sum())]] = True
    return kept
