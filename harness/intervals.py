"""95 % intervals of ratios and differences between two entries.

Latency percentiles are resampled from the raw samples: the bootstrap (Efron 1979, "Bootstrap
methods: another look at the jackknife"). Where only bounds are known, two intervals are combined
by squaring and adding their spreads (Newcombe 1998, "Interval estimation for the difference between
independent proportions", method 10), for ratios on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
Estimate = tuple[float, float | None, float | None]


def ratio_of_quantiles(
    a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], p: float, seed: int = 0
) -> tuple[float, float]:
    """Interval of b's p-quantile over a's; each side is the median over its runs, each run raw samples.

    It covers what varies within the runs, not from run to run.
    """
    generator = np.random.default_rng(seed)
    sides = [np.median([bootstrap_quantile(run, p, generator) for run in runs], axis=0) for runs in (a, b)]
    low, high = np.quantile(sides[1] / sides[0], (0.025, 0.975))
    return float(low), float(high)


def bootstrap_quantile(samples: Sequence[float], p: float, generator: np.random.Generator) -> np.ndarray:
    """Bootstrap replicates `[RESAMPLES]` of the p-quantile, without drawing the resamples.

    The k-th smallest of a resample of n is the sample's quantile at a Beta(k, n + 1 - k) variate,
    because resampling draws n uniforms and looks each up in the sorted sample. Samples count as
    independent.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    n = len(ordered)
    k = min(n, max(1, math.ceil(p * n)))
    places = (generator.beta(k, n + 1 - k, RESAMPLES) * n).astype(np.int64)
    return ordered[np.minimum(places, n - 1)]


def ratio_of_estimates(a: Estimate, b: Estimate) -> tuple[float, float] | None:
    """Interval of b / a from (value, low, high) of each; None where a bound is missing or not positive."""
    if any(part is None or part <= 0 for part in (*a, *b)):
        return None
    (_, a_low, a_high), (_, b_low, b_high) = ([math.log(part) for part in side if part] for side in (a, b))
    left, right = math.log(a[0]), math.log(b[0])
    low = right - left - math.hypot(right - b_low, a_high - left)
    high = right - left + math.hypot(b_high - right, left - a_low)
    return math.exp(low), math.exp(high)


def difference_spread(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float]:
    """How far the interval of b − a reaches below and above it, from (value, low, high) of each."""
    return math.hypot(b[0] - b[1], a[2] - a[0]), math.hypot(b[2] - b[0], a[0] - a[1])
