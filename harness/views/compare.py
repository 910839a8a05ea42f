"""Two records, or two submissions, side by side: ratios with intervals, and what must not be compared.

Which of a submission's records speak for it is in `harness.views.selection`, what must not be set side by
side in `harness.views.comparable`, where the intervals come from in `harness.util.intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from harness.store.records import Record
from harness.util.intervals import (
    Estimate,
    difference_spread,
    middle,
    middle_on_log_scale,
    ratio_of_estimates,
    with_drift,
)
from harness.util.names import UsageError
from harness.views.comparable import barrier, bounds
from harness.views.labels import SHORT_ID
from harness.views.selection import Choice, choose

MORE_IS_BETTER = ("throughput", "speedup", "compression_ratio", "weights_removed")
# Quantities that begin so → ours, ours against dense, and the power of ours that is a time.
DENSE_BESIDE = {
    "latency_": ("latency_p50_ns", "speedup_vs_dense", 1),
    "throughput_samples": ("throughput_samples_per_s", "throughput_speedup_vs_dense", -1),
}
Group = tuple[str, int, str]  # task, its version, target


@dataclass(frozen=True)
class Ratio:
    """One quantity of both sides; `ratio` is b / a, with a 95 % interval where there is one."""

    name: str
    unit: str
    a: float
    b: float
    ratio: float | None
    low: float | None = None
    high: float | None = None

    @property
    def better(self) -> bool | None:
        """Whether b is better than a; None where the interval (or the lack of one) does not tell."""
        if self.low is None or self.high is None or self.low <= 1 <= self.high:
            return None
        return (self.low > 1) == self.name.startswith(MORE_IS_BETTER)


@dataclass(frozen=True)
class Difference:
    """Accuracy of b less that of a, with a 95 % interval; None where it cannot be told."""

    a: float
    b: float
    delta: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Pair:
    """Both sides on one task and target; where a side has several records, their medians count.

    Attributes:
        refused: quantity → why it is not compared.
        drift: median latency of the dense network beside b, over that beside a; 1 where the machine was
            equally fast, None where it is not known.
    """

    task: str
    target: str
    a: Choice
    b: Choice
    accuracy: Difference | None
    ratios: tuple[Ratio, ...]
    refused: dict[str, str] = field(default_factory=dict)
    drift: float | None = None


@dataclass(frozen=True)
class Comparison:
    """b against a, on every task and target that both have."""

    a: str
    b: str
    pairs: tuple[Pair, ...]


def compare(a: Sequence[Record], b: Sequence[Record]) -> Comparison:
    """Compare two records, or two submissions, task by task and target by target.

    Of a submission its newest record counts, whatever its verdict, with the seeds and repeats that belong
    to it; intervals then carry how these differ.

    Raises:
        UsageError: a side is empty, they share no task or no target, or nothing that both have may be
            compared.
    """
    for records, side in ((a, "first"), (b, "second")):
        if not records:
            raise UsageError(f"The {side} side of the comparison is empty.")
    tasks = [{(r.task, r.task_version) for r in side} for side in (a, b)]
    if not tasks[0] & tasks[1]:
        raise UsageError(f"Different tasks are not compared: {_tasks(tasks[0])} and {_tasks(tasks[1])}.")
    left, right = _groups(a), _groups(b)
    shared = sorted(left.keys() & right.keys())
    if not shared:
        targets = [", ".join(sorted({r.target for r in side})) for side in (a, b)]
        raise UsageError(f"They share no target: {targets[0]} and {targets[1]}. Run both on the same one.")
    pairs = tuple(_pair(choose(left[key]), choose(right[key])) for key in shared)
    records = [record for pair in pairs for record in (*pair.a.records, *pair.b.records)]
    if not any(pair.ratios or pair.accuracy for pair in pairs) and all(record.quantities for record in records):
        reasons = dict.fromkeys(reason for pair in pairs for reason in pair.refused.values())
        raise UsageError("Nothing that both have may be compared. " + " ".join(reasons))
    return Comparison(_label(a), _label(b), pairs)


def _groups(records: Sequence[Record]) -> dict[Group, list[Record]]:
    groups: dict[Group, list[Record]] = {}
    for record in records:
        groups.setdefault((record.task, record.task_version, record.target), []).append(record)
    return groups


def _pair(left: Choice, right: Choice) -> Pair:
    a, b = left.records, right.records
    both = (*a, *b)
    measured = tuple(tuple(r for r in side if r.quantities) or side for side in (a, b))
    names = [n for n in a[-1].quantities or a[0].quantities if all(n in r.quantities for r in sum(measured, ()))]
    ratios, refused = [], {}
    for name in names:
        reason = barrier(name, sum(measured, ()))
        if reason:
            refused[name] = reason
        else:
            ratios.append(_ratio(name, *measured))
    for name in dict.fromkeys(n for record in both for n in record.quantities if n not in names):
        missing = next(record for record in both if name not in record.quantities)
        refused[name] = f"{missing.submission} lacks it: {_why_absent(missing, name)}."
    median_latency = "latency_p50_ns"
    told = median_latency in names and median_latency not in refused
    drift = _drift(median_latency, *measured) if told else None
    return Pair(a[0].task, a[0].target, left, right, _accuracy(a, b), tuple(ratios), refused, drift)


def _ratio(name: str, a: Sequence[Record], b: Sequence[Record]) -> Ratio:
    unit = a[0].quantities[name].unit
    left, right = (_of_side(name, side) for side in (a, b))
    if left[0] == 0:
        return Ratio(name, unit, left[0], right[0], None)
    ratio = right[0] / left[0]
    low, high = ratio_of_estimates(left, right) or (None, None)
    if low is not None and high is not None and (drift := _drift(name, a, b)):
        low, high = with_drift(ratio, (low, high), drift)
    return Ratio(name, unit, left[0], right[0], ratio, low, high)


def _drift(name: str, a: Sequence[Record], b: Sequence[Record]) -> float | None:
    """How much longer the dense network took beside b than beside a, as a factor; None where it is not told.

    The two sides were measured at different minutes. The same dense network ran in turns with each, so that
    how it differs shows how much the machine did.
    """
    own, ratio, power = next((of for start, of in DENSE_BESIDE.items() if name.startswith(start)), ("", "", 0))
    sides = []
    for side in (a, b):
        if not all(own in r.quantities and ratio in r.quantities for r in side):
            return None
        if any(r.quantities[own].basis != "measured" or r.quantities[own].value <= 0 for r in side):
            return None
        sides.append(median(r.quantities[own].value ** power * r.quantities[ratio].value for r in side))
    return sides[1] / sides[0] if min(sides) > 0 else None


def _of_side(name: str, records: Sequence[Record]) -> Estimate:
    found = []
    for record in records:
        low, high = bounds(record, name) or (None, None)
        found.append((record.quantities[name].value, low, high))
    return middle_on_log_scale(found)


def _accuracy(a: Sequence[Record], b: Sequence[Record]) -> Difference | None:
    """Both deltas are paired with the same reference, so adding their spreads errs on the wide side."""
    sides = [[record.quality for record in side if record.quality] for side in (a, b)]
    if not all(sides):
        return None
    values = [float(median(quality.value for quality in side)) for side in sides]
    delta = values[1] - values[0]
    left, right = (middle([(q.delta, q.delta_ci_low, q.delta_ci_high) for q in side]) for side in sides)
    down, up = difference_spread(left, right)  # type: ignore[arg-type]
    return Difference(values[0], values[1], delta, delta - down, delta + up)


def _why_absent(record: Record, name: str) -> str:
    if record.failure and not record.quantities:
        return f"its record is {record.verdict}, {record.failure.rule}"
    return record.absent.get(name, "no reason recorded").rstrip(".")


def _tasks(keys: set[tuple[str, int]]) -> str:
    return ", ".join(f"{name} version {version}" for name, version in sorted(keys))


def _label(records: Sequence[Record]) -> str:
    names = ", ".join(sorted({record.submission for record in records}))
    return f"{names} ({records[0].id[:SHORT_ID]})" if len(records) == 1 else names
