"""The quality that a submission kept, beside the dense reference on the same samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Quality:
    """The metric on the full test set, on the target's own numerics.

    Attributes:
        value: of the submission. The point estimate decides: valid means `value >= quality_target`.
        reference: of the dense reference on the same samples and the same runtime.
        delta: `value − reference`, with its paired 95 % confidence interval.
    """

    metric: str
    value: float
    reference: float
    quality_target: float
    delta: float
    delta_ci_low: float
    delta_ci_high: float
    samples: int


def paired_delta(right: np.ndarray, reference_right: np.ndarray) -> tuple[float, float, float]:
    """Difference of two accuracies on the same samples, with its 95 % confidence interval.

    Only the samples on which the two disagree tell of a difference. With b won and c lost of n,
    the estimate is (b − c)/n; its interval is Wald's with half a sample added to each of the four
    cells (Agresti & Min 2005, Statistics in Medicine 24, 729–740), which keeps its coverage where
    b and c are small.

    Args:
        right, reference_right: bool `[n]`, whether each sample was classified rightly.

    Returns:
        Estimate, lower and upper end.

    Raises:
        ValueError: the two differ in length, or are empty.
    """
    if right.shape != reference_right.shape or right.size == 0:
        raise ValueError(f"need two equal, non-empty arrays, got {right.shape} and {reference_right.shape}")
    n = right.size
    won = int((right & ~reference_right).sum())
    lost = int((~right & reference_right).sum())
    b, c, m = won + 0.5, lost + 0.5, n + 2.0
    centre = (b - c) / m
    half = Z_95 * math.sqrt(b + c - (b - c) ** 2 / m) / m
    return (won - lost) / n, centre - half, centre + half


def quality_of(right: np.ndarray, reference_right: np.ndarray, *, metric: str, quality_target: float) -> Quality:
    """Put a submission's test result beside the reference's. The point estimate decides, as in MLPerf."""
    delta, low, high = paired_delta(right, reference_right)
    return Quality(
        metric=metric,
        value=float(right.mean()),
        reference=float(reference_right.mean()),
        quality_target=quality_target,
        delta=delta,
        delta_ci_low=low,
        delta_ci_high=high,
        samples=int(right.size),
    )
