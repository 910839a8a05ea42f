"""Two records, or two submissions, side by side: ratios with intervals, and what must not be compared.

A measured latency says something about an entry only beside another from the same machine, so
across machine fingerprints it is refused and the rest is compared. Where the intervals come from
is in `harness.intervals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from harness import formatting
from harness.intervals import difference_spread, ratio_of_estimates, ratio_of_quantiles
from harness.names import UnknownNameError, UsageError
from harness.records import Record

if TYPE_CHECKING:
    from rich.table import Table

PERCENTILES = {"latency_p50_ns": 0.5, "latency_p90_ns": 0.9, "latency_p99_ns": 0.99}
MACHINE_BOUND = ("latency_", "throughput_samples", "energy_", "peak_memory")
MORE_IS_BETTER = ("throughput", "speedup", "compression_ratio", "weights_removed")
SHORTEST_PREFIX = 4


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
    """Accuracy of b less that of a, with a 95 % interval."""

    a: float
    b: float
    delta: float
    low: float
    high: float


@dataclass(frozen=True)
class Pair:
    """Both sides on one task and target.

    Attributes:
        a, b: the records compared, one a seed; their medians count.
        refused: quantity → why it is not compared.
        notes: what the reader should know beforehand.
    """

    task: str
    target: str
    a: tuple[Record, ...]
    b: tuple[Record, ...]
    accuracy: Difference | None
    ratios: tuple[Ratio, ...]
    refused: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """b against a, on every task and target that both have."""

    a: str
    b: str
    pairs: tuple[Pair, ...]


def select(records: Sequence[Record], name: str) -> list[Record]:
    """The records that `name` stands for: a submission's name, a record's id, or the start of one.

    Raises:
        UnknownNameError: no record is called that; names the nearest.
        UsageError: several ids begin with it.
    """
    for chosen in (
        [record for record in records if record.submission == name],
        [record for record in records if record.id == name],
    ):
        if chosen:
            return chosen
    chosen = [record for record in records if len(name) >= SHORTEST_PREFIX and record.id.startswith(name)]
    if len(chosen) > 1:
        raise UsageError(
            f"{len(chosen)} records begin with {name!r}: {', '.join(r.id for r in chosen[:4])}. Give more."
        )
    if not chosen:
        known = {record.submission for record in records} | {record.id[:12] for record in records}
        raise UnknownNameError("submission or record", name, known)
    return chosen


def compare(a: Sequence[Record], b: Sequence[Record]) -> Comparison:
    """Compare two records, or the newest valid records of two submissions, task by task and target by target.

    A single record given for a side is compared whatever its verdict. With several seeds the
    medians are compared, and intervals cover what varies within the runs, not from run to run.

    Raises:
        UsageError: a side is empty or has no valid record, they share no task or no target, or
            nothing that both have may be compared.
    """
    left, right = _newest(a, "first"), _newest(b, "second")
    tasks = [{(r.task, r.task_version) for r in side} for side in (left, right)]
    if not tasks[0] & tasks[1]:
        raise UsageError(f"Different tasks are not compared: {_tasks(tasks[0])} and {_tasks(tasks[1])}.")
    groups = [{(r.task, r.task_version, r.target) for r in side} for side in (left, right)]
    shared = sorted(groups[0] & groups[1])
    if not shared:
        targets = [", ".join(sorted({r.target for r in side})) for side in (left, right)]
        raise UsageError(f"They share no target: {targets[0]} and {targets[1]}. Run both on the same one.")
    pairs = tuple(
        _pair(*(tuple(r for r in side if (r.task, r.task_version, r.target) == key) for side in (left, right)))
        for key in shared
    )
    if not any(pair.ratios or pair.accuracy for pair in pairs):
        reasons = dict.fromkeys(reason for pair in pairs for reason in pair.refused.values())
        raise UsageError("Nothing that both have may be compared. " + " ".join(reasons))
    return Comparison(_label(a), _label(b), pairs)


def comparison_table(comparison: Comparison) -> Table:
    """One row a quantity; the ratio is green where b is better for certain, red where it is worse."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{comparison.b} against {comparison.a}", title_justify="left")
    for column in ("target", "quantity"):
        table.add_column(column)
    for column in (f"a: {comparison.a}", f"b: {comparison.b}", "b / a", "95 % CI"):
        table.add_column(Text(column), justify="right")
    for pair in comparison.pairs:
        where = Text(pair.target if len({p.task for p in comparison.pairs}) == 1 else f"{pair.task}, {pair.target}")
        if pair.accuracy:
            d = pair.accuracy
            shown = [formatting.percent(d.a, 2), formatting.percent(d.b, 2), formatting.points(d.delta)]
            table.add_row(where, "Accuracy", *shown, f"{100 * d.low:+.2f} to {100 * d.high:+.2f} pp")
        for item in pair.ratios:
            style = {True: "green", False: "red", None: ""}[item.better]
            ratio = Text(formatting.ABSENT if item.ratio is None else f"{item.ratio:.3f}×", style=style)
            bounds = formatting.ABSENT if item.low is None else f"{item.low:.3f} to {item.high:.3f}"
            shown = [formatting.value_of(item.name, value, item.unit) for value in (item.a, item.b)]
            table.add_row(where, Text(formatting.title(item.name)), *shown, ratio, bounds)
        table.add_section()
    notes = dict.fromkeys(note for pair in comparison.pairs for note in (*pair.notes, *_refusals(pair)))
    table.caption = Text("\n".join(notes)) if notes else None
    table.caption_justify = "left"
    return table


def _newest(records: Sequence[Record], side: str) -> list[Record]:
    """The newest valid record of each task, target and seed."""
    if not records:
        raise UsageError(f"The {side} side of the comparison is empty.")
    chosen = records if len(records) == 1 else [record for record in records if record.verdict == "valid"]
    if not chosen:
        verdicts = ", ".join(sorted({record.verdict for record in records}))
        raise UsageError(f"{_label(records)} has no valid record to compare, only: {verdicts}. Name one by its id.")
    ordered = sorted(chosen, key=lambda record: (record.created, record.id))
    return list({(r.task, r.task_version, r.target, r.seed): r for r in ordered}.values())


def _pair(a: tuple[Record, ...], b: tuple[Record, ...]) -> Pair:
    names = [n for n in a[0].quantities if all(n in record.quantities for record in (*a, *b))]
    barrier = _machine_barrier((*a, *b))
    ratios, refused = [], {}
    for name in names:
        bases = {record.quantities[name].basis for record in (*a, *b)}
        if len(bases) > 1:
            refused[name] = f"One figure is {' and the other '.join(sorted(bases))}."
        elif barrier and bases == {"measured"} and name.startswith(MACHINE_BOUND):
            refused[name] = barrier
        else:
            ratios.append(_ratio(name, a, b))
    for name in dict.fromkeys(n for record in (*a, *b) for n in record.quantities if n not in names):
        missing = next(record for record in (*a, *b) if name not in record.quantities)
        refused[name] = f"{missing.submission} lacks it: {missing.absent.get(name, 'no reason recorded')}."
    return Pair(a[0].task, a[0].target, a, b, _accuracy(a, b), tuple(ratios), refused, _notes((*a, *b)))


def _ratio(name: str, a: tuple[Record, ...], b: tuple[Record, ...]) -> Ratio:
    sides = (a, b)
    values = [median(record.quantities[name].value for record in side) for side in sides]
    unit = a[0].quantities[name].unit
    if values[0] == 0:
        return Ratio(name, unit, values[0], values[1], None)
    low, high = _interval(name, sides, values)
    return Ratio(name, unit, values[0], values[1], values[1] / values[0], low, high)


def _interval(
    name: str, sides: tuple[tuple[Record, ...], ...], values: list[float]
) -> tuple[float, float] | tuple[None, None]:
    a, b = sides
    if name in PERCENTILES and all(record.samples.get("latency_ns") for record in (*a, *b)):
        samples = [[record.samples["latency_ns"] for record in side] for side in sides]
        return ratio_of_quantiles(samples[0], samples[1], PERCENTILES[name])
    if len(a) > 1 or len(b) > 1:
        return None, None
    spreads = [(item.value, item.low, item.high) for item in (a[0].quantities[name], b[0].quantities[name])]
    return ratio_of_estimates(*spreads) or (None, None)


def _accuracy(a: tuple[Record, ...], b: tuple[Record, ...]) -> Difference | None:
    """Both deltas are paired with the same reference, so adding their spreads errs on the wide side."""
    middles = []
    for side in (a, b):
        judged = sorted((r.quality for r in side if r.quality), key=lambda quality: quality.value)
        if not judged:
            return None
        middles.append(judged[(len(judged) - 1) // 2])
    left, right = middles
    delta = right.value - left.value
    down, up = difference_spread(
        (left.delta, left.delta_ci_low, left.delta_ci_high), (right.delta, right.delta_ci_low, right.delta_ci_high)
    )
    return Difference(left.value, right.value, delta, delta - down, delta + up)


def _machine_barrier(records: Iterable[Record]) -> str | None:
    prints = {record.environment.get("machine_fingerprint") for record in records}
    if None in prints:
        return "A record does not say which machine it was measured on."
    if len(prints) > 1:
        return f"Measured on different machines ({', '.join(sorted(map(str, prints)))}); compare the speed-ups instead."
    return None


def _notes(records: tuple[Record, ...]) -> tuple[str, ...]:
    notes = [f"{r.submission} on {r.target}, seed {r.seed}: noisy, {r.noisy}" for r in records if r.noisy]
    notes += [f"{r.submission} on {r.target}, seed {r.seed}: {r.verdict}" for r in records if r.verdict != "valid"]
    if len({record.effort for record in records}) > 1:
        notes.append("Measured with different efforts.")
    if any(record.task_modified for record in records):
        notes.append("The task was changed on the command line: no official result.")
    return tuple(notes)


def _refusals(pair: Pair) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for name, reason in pair.refused.items():
        by_reason.setdefault(reason, []).append(formatting.title(name))
    return [f"Not compared on {pair.target}: {'; '.join(names)}. {reason}" for reason, names in by_reason.items()]


def _tasks(keys: set[tuple[str, int]]) -> str:
    return ", ".join(f"{name} version {version}" for name, version in sorted(keys))


def _label(records: Sequence[Record]) -> str:
    names = ", ".join(sorted({record.submission for record in records}))
    return f"{names} ({records[0].id[:8]})" if len(records) == 1 else names
