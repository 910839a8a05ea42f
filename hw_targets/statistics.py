"""Quantiles with confidence intervals that assume no distribution.

Of n independent values, the number below the true p-quantile is binomial, B ~ Bin(n, p). The
interval from the l-th to the u-th smallest value (counted from 1) therefore covers the quantile
with probability P(l ≤ B < u), exactly for a continuous distribution (David & Nagaraja 2003, "Order
Statistics", section 7.1). We take the largest l with P(B < l) ≤ α/2 and the smallest u with
P(B ≥ u) ≤ α/2. Too few values have no such interval: a median needs six for 95 %, where it reaches
from the least to the greatest (1 − 2·2⁻⁶ = 0.969).

Latencies that follow each other are not quite independent, so that intervals from one round are
somewhat too narrow; intervals over rounds (`median_interval` of the ratios) do not suffer from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A point estimate and its confidence interval; no interval where there are too few values."""

    value: float
    low: float | None
    high: float | None


def quantile(values: Sequence[float] | np.ndarray, p: float, confidence: float = CONFIDENCE) -> Estimate:
    """The `p`-quantile (0 < p < 1) of `values`, the ⌈n·p⌉-th smallest, with its interval.

    Raises:
        ValueError: no values, or `p` out of range.
    """
    ordered = np.sort(np.asarray(values, float))
    if ordered.size == 0 or not 0 < p < 1:
        raise ValueError(f"A quantile needs values and 0 < p < 1; there are {ordered.size} values and p = {p}.")
    point = ordered[max(int(np.ceil(ordered.size * p - 1e-9)), 1) - 1]
    ranks = interval_ranks(ordered.size, p, confidence)
    if ranks is None:
        return Estimate(float(point), None, None)
    return Estimate(float(point), float(ordered[ranks[0] - 1]), float(ordered[ranks[1] - 1]))


def median_interval(values: Sequence[float] | np.ndarray, confidence: float = CONFIDENCE) -> Estimate:
    """The median of `values` (the mean of the middle two), with its interval."""
    of = quantile(values, 0.5, confidence)
    return Estimate(float(np.median(np.asarray(values, float))), of.low, of.high)


def interval_ranks(n: int, p: float, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Ranks l and u, counted from 1, of the order statistics that bound the `p`-quantile; None if n is too small."""
    tail = (1 - confidence) / 2
    below = np.cumsum(_binomial(n, p))  # below[k] = P(B ≤ k)
    # P(B < l) = below[l − 1] ≤ tail, and P(B ≥ u) = 1 − below[u − 1] ≤ tail.
    lower = int(np.searchsorted(below, tail, side="right"))
    upper = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return (lower, upper) if lower >= 1 and upper <= n else None


def _binomial(n: int, p: float) -> np.ndarray:
    """P(B = k) for k = 0…n, through logarithms, so that a million samples are no trouble."""
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    k = np.arange(n + 1)
    log_choose = log_factorial[n] - log_factorial - log_factorial[::-1]
    return np.asarray(np.exp(log_choose + k * np.log(p) + (n - k) * np.log1p(-p)))


def thin(values: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` of `values`, evenly spaced and in order."""
    if values.size <= limit:
        return values
    return values[np.linspace(0, values.size - 1, limit).round().astype(np.int64)]
