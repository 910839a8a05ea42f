"""Is it above? Differences over seeds, with their 95 % margin, in words.

With several seeds, two ways are compared seed by seed: the margin of the mean difference is
Student's t times its standard error. That is the chance of training, on this one test set: another
test set would move both ways, mostly together. With one seed only the test set's own sampling error is known
(that of two shares, as if their samples were independent: for two models that err on the same
samples it is too wide), and how much the training's chance matters is not. The same margin serves where
nothing is drawn, so that every seed gives the same.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

CONFIDENCE = 0.95
NORMAL = 1.96


@dataclass(frozen=True)
class Difference:
    """`a − b` in accuracy, with its 95 % margin, over the seeds that both have."""

    mean_a: float
    mean_b: float
    margin: float
    seeds: int

    @property
    def mean(self) -> float:
        return self.mean_a - self.mean_b

    @property
    def told_apart(self) -> bool:
        """Whether the difference is larger than its margin."""
        return abs(self.mean) > self.margin


def difference(a: Mapping[int, float], b: Mapping[int, float], test_samples: int) -> Difference | None:
    """Compare accuracies (seed → 0…1) seed by seed; None where no seed is in both."""
    from scipy.stats import t

    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        return None
    mean_a, mean_b = (statistics.fmean(values[seed] for seed in seeds) for values in (a, b))
    if all(len({values[seed] for seed in seeds}) == 1 for values in (a, b)):
        margin = NORMAL * math.sqrt((mean_a * (1 - mean_a) + mean_b * (1 - mean_b)) / test_samples)
    else:
        spread = statistics.stdev(a[seed] - b[seed] for seed in seeds)
        margin = float(t.ppf((1 + CONFIDENCE) / 2, len(seeds) - 1)) * spread / math.sqrt(len(seeds))
    return Difference(mean_a, mean_b, margin, len(seeds))


def expected_above(
    a: str, of_a: Mapping[int, float], b: str, of_b: Mapping[int, float], where: str, test_samples: int
) -> str | None:
    """A sentence on whether `a` is above `b`, as was expected; None where they share no seed.

    Args:
        of_a, of_b: seed → accuracy, in 0…1.
        where: "at 95 %", say.
    """
    found = difference(of_a, of_b, test_samples)
    if found is None:
        return None
    if not found.told_apart:
        says = f"{a} and {b} cannot be told apart {where}"
    elif found.mean > 0:
        says = f"{a} is above {b} {where}"
    else:
        says = f"{a} is below {b} {where}, against the expected order"
    return f"{says}: {percent(found.mean_a)} vs {percent(found.mean_b)} ({spread_of(found)})."


def spread_of(found: Difference) -> str:
    """`3 seeds, difference 1.80 ± 0.31 points`."""
    seeds = "1 seed" if found.seeds == 1 else f"{found.seeds} seeds"
    return f"{seeds}, difference {100 * found.mean:+.2f} ± {100 * found.margin:.2f} points"


def mean_of(values: Mapping[int, float]) -> float:
    """The mean over seeds; NaN of none."""
    return statistics.fmean(values.values()) if values else math.nan


def percent(share: float) -> str:
    """`97.90 %`."""
    return f"{100 * share:.2f} %"
