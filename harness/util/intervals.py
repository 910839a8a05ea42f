"""95 % intervals over several records, and of ratios and differences between two sides.

Several records of one thing (seeds, repeats) differ by more than each of them tells of itself. The
interval of their median is Student's, from how they differ, and never narrower than their own intervals
together allow. A median of more than two varies at most √(π/2) times as much as a mean (normal values,
Laplace 1812). Two records have one degree of freedom, hence a wide interval: they tell little of a third.

Two sides are combined by squaring and adding their spreads (Newcombe 1998, "Interval estimation for
the difference between independent proportions", method 10), for ratios on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median, stdev

CONFIDENCE = 0.95
MEDIAN_TO_MEAN = math.sqrt(math.pi / 2)
Estimate = tuple[float, float | None, float | None]
Known = tuple[float, float, float]


def middle(estimates: Sequence[Estimate]) -> Estimate:
    """The median of several estimates (value, low, high), with the interval that carries how they differ.

    A single one keeps its interval.

    Raises:
        ValueError: there is no estimate.
    """
    if not estimates:
        raise ValueError("The middle of no estimates was asked for.")
    if len(estimates) == 1:
        return estimates[0]
    n = len(estimates)
    value = float(median(each[0] for each in estimates))
    spread = _student(n - 1) * stdev(each[0] for each in estimates) / math.sqrt(n)
    spread *= MEDIAN_TO_MEAN if n > 2 else 1
    down, up = (
        max(spread, math.sqrt(sum(abs(each[end] - each[0]) ** 2 for each in _known(estimates))) / n) for end in (1, 2)
    )
    return value, value - down, value + up


def middle_on_log_scale(estimates: Sequence[Estimate]) -> Estimate:
    """As `middle`, for positive figures that differ by factors; no interval where one is not positive."""
    if len(estimates) == 1:
        return estimates[0]
    value = float(median(each[0] for each in estimates))
    if any(part is not None and part <= 0 for each in estimates for part in each):
        return value, None, None
    logs = [tuple(None if part is None else math.log(part) for part in each) for each in estimates]
    centre, low, high = middle(logs)  # type: ignore[arg-type]
    assert low is not None and high is not None
    return value, value * math.exp(low - centre), value * math.exp(high - centre)


def ratio_of_estimates(a: Estimate, b: Estimate) -> tuple[float, float] | None:
    """Interval of b / a from (value, low, high) of each; None where a bound is missing or not positive."""
    if any(part is None or part <= 0 for part in (*a, *b)):
        return None
    (_, a_low, a_high), (_, b_low, b_high) = ([math.log(part) for part in side if part] for side in (a, b))
    left, right = math.log(a[0]), math.log(b[0])
    low = right - left - math.hypot(right - b_low, a_high - left)
    high = right - left + math.hypot(b_high - right, left - a_low)
    return math.exp(low), math.exp(high)


def with_drift(ratio: float, bounds: tuple[float, float], drift: float) -> tuple[float, float]:
    """The interval of a ratio, widened by what the machine changed by between its two sides, a factor."""
    down, up = (math.hypot(math.log(bound / ratio), math.log(drift)) for bound in bounds)
    return ratio * math.exp(-down), ratio * math.exp(up)


def difference_spread(a: Known, b: Known) -> tuple[float, float]:
    """How far the interval of b − a reaches below and above it, from (value, low, high) of each."""
    return math.hypot(b[0] - b[1], a[2] - a[0]), math.hypot(b[2] - b[0], a[0] - a[1])


def _known(estimates: Sequence[Estimate]) -> list[Known]:
    """Those that have an interval."""
    return [(value, low, high) for value, low, high in estimates if low is not None and high is not None]


def _student(freedom: int) -> float:
    """The two-sided 95 % point of Student's t."""
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))
