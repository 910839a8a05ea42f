"""Estimates from repeated measurements, with intervals that hold on a machine that is not quite still.

**Independent values** (`quantile`). Of n independent values, the number below the true p-quantile is
binomial, B ~ Bin(n, p). The interval from the l-th to the u-th smallest value (counted from 1)
therefore covers the quantile with probability P(l ≤ B < u), exactly for a continuous distribution
(David & Nagaraja 2003, "Order Statistics", section 7.1). `scipy.stats.quantile_test` has it. Too few
values have no such interval: a median needs six for 95 %.

**Values in time** (`block_mean`, `block_quantile`). Latencies that follow each other are not
independent: what slows one slows its neighbours, so ten thousand of them tell less than they seem
to. They are cut into k ≤ `BLOCKS` blocks of neighbours, and only how the blocks differ counts: the
method of batch means (Conway 1963, "Some tactical problems in digital simulation"). With
x₁…x_k what the blocks say (their means, medians or quantiles, on a logarithmic scale),

    x̄ ± t · s / √(k · (1 − r) / (1 + r)),    t Student's with k − 1 degrees of freedom,

where s is their standard deviation and r ≥ 0 their correlation with the next block: k values that
are correlated by r tell as much as k·(1 − r)/(1 + r) independent ones. As time goes on the blocks get
longer, not more, so that r goes to zero whatever the machine does. Three blocks are the fewest.

**Ratios of neighbours** (`robust_ratio`). Beside other processes most ratios of neighbouring turns may be
good to a few per cent, and the others off by a factor of ten. Their logarithms zᵢ are averaged by
Huber's M-estimator (Huber 1964, "Robust estimation of a location parameter"): the m for which

    Σ ψ((zᵢ − m)/c) = 0,    ψ(u) = u for |u| ≤ 1, else ±1,

so that a ratio counts in full up to c from the middle, and a farther one by its side alone. c is the
distance from the median within which a quarter of them lie, but at least `NEAR`: on a still machine
m is the mean, on a busy one near the median. The interval comes from how the k blocks differ
(Liang & Zeger 1986, "Longitudinal data analysis using generalized linear models", eq. 5): with S_j
the sum of ψ over block j and n' the number of ratios within c,

    m ± t · c · √V / n',    V = k/(k − 1) · (Σ S_j²) · (1 + r)/(1 − r),    no less than Σ ψ² over all,

t and r as above. What changes the ratio more slowly than the whole measurement takes is in no
interval.

**Looking again and again** (`look_confidence`). Who measures until the interval is narrow stops too
often by good luck. The k-th look at whether it is narrow enough is therefore made with an error of
(α/2)/(k·(k + 1)), and the one look when the time is up with α/2. All together err by no more than
Σ (α/2)/(k·(k + 1)) + α/2 = α (Bonferroni's inequality), whenever one stops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
BLOCKS = 10  # at most; fewer make Student's t large, more are shorter and less independent
LEAST_BLOCKS = 3
NEAR_SHARE, NEAR = 0.25, 0.03  # of the ratios, and in logarithms: a session's place costs one or two per cent
MOST_STEPS = 200


@dataclass(frozen=True)
class Estimate:
    """A point estimate and its confidence interval; no interval where there are too few values."""

    value: float
    low: float | None
    high: float | None

    def half_width(self) -> float:
        """How far the interval reaches up from its (geometric) middle, relative to it; infinite where there is none."""
        if self.low is None or self.high is None or not 0 < self.low <= self.high:
            return math.inf
        return math.sqrt(self.high / self.low) - 1


def quantile(values: Sequence[float] | np.ndarray, p: float, confidence: float = CONFIDENCE) -> Estimate:
    """The `p`-quantile (0 < p < 1) of independent `values`, the ⌈n·p⌉-th smallest, with its interval.

    Raises:
        ValueError: no values, or `p` out of range.
    """
    from scipy.stats import quantile_test

    ordered = np.sort(np.asarray(values, float))
    if ordered.size == 0 or not 0 < p < 1:
        raise ValueError(f"A quantile needs values and 0 < p < 1; there are {ordered.size} values and p = {p}.")
    point = ordered[max(int(np.ceil(ordered.size * p - 1e-9)), 1) - 1]
    found = quantile_test(ordered, p=p).confidence_interval(confidence)
    if not (np.isfinite(found.low) and np.isfinite(found.high)):
        return Estimate(float(point), None, None)
    return Estimate(float(point), float(found.low), float(found.high))


def look_confidence(look: int | None, confidence: float = CONFIDENCE) -> float:
    """The confidence of one look at data that are looked at until they suffice or the time is up.

    Args:
        look: counted from 1, at whether they suffice; None when the time is up.

    Raises:
        ValueError: `look` is not a positive number.
    """
    half = (1 - confidence) / 2
    if look is None:
        return 1 - half
    if look < 1:
        raise ValueError(f"Looks are counted from 1, not {look}.")
    return 1 - half / (look * (look + 1))


def block_mean(values: Sequence[float] | np.ndarray, confidence: float = CONFIDENCE) -> Estimate:
    """The mean of what successive blocks say, positive numbers, on a logarithmic scale, with its interval.

    Raises:
        ValueError: no values, or one that is not positive.
    """
    logs = _logarithms(values)
    centre, half = float(logs.mean()), _half_width(logs, confidence)
    if half is None:
        return Estimate(math.exp(centre), None, None)
    return Estimate(math.exp(centre), math.exp(centre - half), math.exp(centre + half))


def block_quantile(
    blocks: Sequence[Sequence[float] | np.ndarray], p: float, confidence: float = CONFIDENCE
) -> Estimate:
    """The `p`-quantile of all values of `blocks`, with an interval that carries how the blocks differ.

    It is the wider of the two: that of independent values, and that of the blocks' own quantiles.

    Args:
        blocks: positive numbers by block, in time.

    Raises:
        ValueError: no blocks, an empty one, or `p` out of range.
    """
    if not blocks or not all(len(block) for block in blocks):
        raise ValueError("A quantile over blocks needs blocks, and values in each.")
    of = quantile(np.concatenate([np.asarray(block, float) for block in blocks]), p, confidence)
    half = _half_width(_logarithms([np.quantile(np.asarray(block, float), p) for block in blocks]), confidence)
    if half is None or of.low is None or of.high is None:
        return Estimate(of.value, None, None)
    return Estimate(of.value, min(of.low, of.value * math.exp(-half)), max(of.high, of.value * math.exp(half)))


def robust_ratio(blocks: Sequence[Sequence[float] | np.ndarray], confidence: float = CONFIDENCE) -> Estimate:
    """The middle of ratios, most of which are near it, with an interval that carries how the blocks differ.

    Args:
        blocks: positive numbers by block, in time.

    Raises:
        ValueError: no blocks, or a number that is not positive.
    """
    logs = [_logarithms(block) for block in blocks]
    if not logs:
        raise ValueError("A mean over blocks needs blocks.")
    every = np.concatenate(logs)
    centre = float(np.median(every))
    near = max(float(np.quantile(np.abs(every - centre), NEAR_SHARE)), NEAR)
    for _ in range(MOST_STEPS):
        within = max(int((np.abs(every - centre) <= near).sum()), 1)
        step = near * float(_bounded(every, centre, near).sum()) / within
        centre += step
        if abs(step) < 1e-9:
            break
    half = _clustered_half_width([_bounded(block, centre, near) for block in logs], near, within, confidence)
    if half is None:
        return Estimate(math.exp(centre), None, None)
    return Estimate(math.exp(centre), math.exp(centre - half), math.exp(centre + half))


def thin(values: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` of `values`, evenly spaced and in order."""
    if values.size <= limit:
        return values
    return values[np.linspace(0, values.size - 1, limit).round().astype(np.int64)]


def _bounded(logs: np.ndarray, centre: float, near: float) -> np.ndarray:
    return np.clip((logs - centre) / near, -1, 1)


def _clustered_half_width(scores: list[np.ndarray], near: float, within: int, confidence: float) -> float | None:
    from scipy.stats import t

    if len(scores) < LEAST_BLOCKS:
        return None
    sums, k = np.array([score.sum() for score in scores]), len(scores)
    between = k / (k - 1) * float(sums @ sums) * (1 + (r := _correlation(sums))) / (1 - r)
    spread = math.sqrt(max(between, sum(float(score @ score) for score in scores)))
    return float(t.ppf((1 + confidence) / 2, k - 1)) * near * spread / within


def _half_width(logs: np.ndarray, confidence: float) -> float | None:
    from scipy.stats import t

    if logs.size < LEAST_BLOCKS:
        return None
    effective = logs.size * (1 - (r := _correlation(logs))) / (1 + r)
    spread = float(logs.std(ddof=1)) / math.sqrt(effective)
    return float(t.ppf((1 + confidence) / 2, logs.size - 1)) * spread


def _correlation(values: np.ndarray) -> float:
    """Of each value with the next, 0…0.9: a negative one is taken for chance.

    That of k values about their own mean comes out too low by about (1 + 3r)/k (Marriott & Pope 1954,
    "Bias in the estimation of autocorrelations"), which is added.
    """
    rest, k = values - values.mean(), values.size
    power = float(rest @ rest)
    if power == 0:
        return 0.0
    found = float(rest[1:] @ rest[:-1]) / power
    return min(max(found + (1 + 3 * max(found, 0.0)) / k, 0.0), 0.9)


def _logarithms(values: Sequence[float] | np.ndarray) -> np.ndarray:
    of = np.asarray(values, float)
    if of.size == 0 or not (of > 0).all():
        raise ValueError(f"A mean over blocks needs positive numbers; there are {of.tolist()[:5]}.")
    return np.asarray(np.log(of))
