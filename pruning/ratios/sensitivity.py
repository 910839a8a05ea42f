"""Prune each layer alone, watch the accuracy, and let every layer lose what costs about the same.

Han et al. 2015 (arXiv 1506.02626) set their layers' thresholds by such curves. The scan prunes one
layer at ratios 0, 0.1 … 0.9 with all others dense; then one degradation threshold T for all layers
is chosen so that the overall rate comes out as desired. What it leaves out: how layers interact.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise

from pruning.ratios.counting import check_sparsity, kept_count
from pruning.ratios.per_layer import PerLayer, apportion, sparsity_of
from pruning.ratios.problem import Problem

RATIOS_SCANNED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BISECTIONS = 60  # to 1e-18 of the accuracies' range


@dataclass(frozen=True)
class Point:
    """One evaluation: the accuracy where `name` alone lost the share `ratio`."""

    name: str
    ratio: float
    accuracy: float


@dataclass(frozen=True)
class Sensitivity:
    """The curves of a scan.

    Attributes:
        ratios: rising, from 0, where the accuracy is that of the dense model.
        accuracy: parameter name → accuracy at each ratio.

    Raises:
        ValueError: ratios that do not rise from 0 within 0…1 without 1, or curves of another length.
    """

    ratios: tuple[float, ...]
    accuracy: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        check_ratios(self.ratios)
        for name, curve in self.accuracy.items():
            if len(curve) != len(self.ratios) or not all(map(math.isfinite, curve)):
                raise ValueError(f"The curve of {name} needs {len(self.ratios)} finite accuracies, not {list(curve)}.")

    def degradation(self, name: str) -> tuple[float, ...]:
        """Accuracy lost at each ratio; the largest so far, so it never falls.

        Validation noise makes measured curves dip. A layer is not taken as safe at 0.6 if it was
        found worse at 0.5; nor does a gain (pruning sometimes helps) count as more than no loss.
        """
        curve = self.accuracy[name]
        return tuple(accumulate((curve[0] - accuracy for accuracy in curve), max))

    def largest_within(self, name: str, threshold: float) -> float:
        """The largest ratio of which the degradation is at most `threshold`, linear between points; 0 if none is."""
        if threshold < 0:
            return 0.0
        curve = list(zip(self.ratios, self.degradation(name), strict=True))
        for (low, inside), (high, outside) in pairwise(curve):
            if outside > threshold:
                return low + (high - low) * (threshold - inside) / (outside - inside)
        return self.ratios[-1]

    def to_json(self) -> str:
        """The curves as text, for plots and for `from_json`."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Sensitivity:
        """What `to_json` wrote.

        Raises:
            ValueError: the text is something else.
        """
        try:
            read = json.loads(text)
            return cls(tuple(read["ratios"]), {name: tuple(curve) for name, curve in read["accuracy"].items()})
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"This is not the JSON of a sensitivity scan: {error!r}.") from error


def check_ratios(ratios: Sequence[float]) -> None:
    """Raises ValueError: `ratios` do not rise from 0 within 0…1 without 1."""
    if len(ratios) < 2 or ratios[0] != 0 or not all(low < high < 1 for low, high in pairwise(ratios)):
        raise ValueError(f"The ratios of a scan rise from 0 and stay below 1, not {list(ratios)}.")


def sensitivity_scan(
    problem: Problem,
    ratios: Sequence[float] = RATIOS_SCANNED,
    *,
    known: Iterable[Point] = (),
    on_point: Callable[[Point], None] | None = None,
) -> Sensitivity:
    """Evaluate the problem's model with each layer alone pruned at each ratio.

    Args:
        known: points of an earlier scan that was cut off; they are not evaluated again.
        on_point: called with every new point at once, to show progress and to keep it.

    Raises:
        ValueError: no `evaluate`, bad ratios, or an accuracy that is not a finite number.
    """
    evaluate = problem.evaluator("A sensitivity scan")
    check_ratios(ratios)
    found = {(point.name, point.ratio): point.accuracy for point in known}
    for name, ratio in _missing(problem.names, ratios, found):
        dense = next((found[other, 0.0] for other in problem.names if (other, 0.0) in found), None)
        if ratio == 0 and dense is not None:
            found[name, ratio] = dense  # the same model for every layer
            continue
        model, _ = problem.masked({other: ratio if other == name else 0.0 for other in problem.names})
        point = Point(name, ratio, evaluate(model))
        found[name, ratio] = point.accuracy
        if on_point is not None:
            on_point(point)
    return Sensitivity(tuple(ratios), {name: tuple(found[name, ratio] for ratio in ratios) for name in problem.names})


def check_within_scan(overall: float, most: float) -> None:
    """Raises ValueError: no layer is scanned as far as the overall sparsity asks, `most` being the highest ratio."""
    if overall > most:
        raise ValueError(
            f"An overall sparsity of {overall} cannot be met: the scan ends at {most}, and so at most {most} "
            "of all weights can fall. Scan higher ratios."
        )


def choose_threshold(sensitivity: Sensitivity, sizes: Mapping[str, int], overall: float) -> PerLayer:
    """The sparsities that one degradation threshold gives, where it meets the overall rate.

    The threshold is found by bisection. Where curves are flat, the smallest step of it makes the
    rate jump over what is asked; the layers then go the same part of the way between the two sides.

    Args:
        sizes: parameter name → weights. Of all of them, exactly the rounded share `overall` is
            removed, with single weights as groups.

    Raises:
        ValueError: `sizes` are not those of the scan's layers, or the overall rate is beyond what
            the largest scanned ratio allows; the message says what can be met.
    """
    check_sparsity(overall)
    if set(sizes) != set(sensitivity.accuracy):
        raise ValueError(f"The sizes are of {sorted(sizes)}, but the scan is of {sorted(sensitivity.accuracy)}.")
    check_within_scan(overall, sensitivity.ratios[-1])
    total = sum(sizes.values())

    def at(threshold: float) -> dict[str, float]:
        return {name: sensitivity.largest_within(name, threshold) for name in sizes}

    def rate(shares: Mapping[str, float]) -> float:
        return sum(shares[name] * size for name, size in sizes.items()) / total

    low, high = -1.0, max(sensitivity.degradation(name)[-1] for name in sizes)  # nothing falls; all that can
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if rate(at(middle)) >= overall else (middle, high)
    below, above = at(low), at(high)
    gap = rate(above) - rate(below)
    part = min(1.0, (overall - rate(below)) / gap) if gap > 0 else 1.0
    kept = {name: size * (1 - below[name] - part * (above[name] - below[name])) for name, size in sizes.items()}
    return PerLayer(sparsity_of(apportion(kept, sizes, kept_count(total, overall)), sizes))


def _missing(
    names: Sequence[str], ratios: Sequence[float], found: Mapping[tuple[str, float], float]
) -> Iterator[tuple[str, float]]:
    return ((name, ratio) for name in names for ratio in ratios if (name, ratio) not in found)
