"""A comparison for people: a table of both sides' quantities, and notes on what they are and what was left out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from harness.store.records import Record
from harness.views import formatting
from harness.views.compare import Comparison, Pair
from harness.views.labels import changed_settings, commit_of, date_of, in_words, name_of, place_of, seed_of
from harness.views.remarks import remarks
from harness.views.selection import Choice

if TYPE_CHECKING:
    from rich.table import Table

NAMED = 4
WORTH_SAYING = 0.02  # a drift of two per cent


def comparison_table(comparison: Comparison) -> Table:
    """One row a quantity; the ratio is green where b is better for certain, red where it is worse."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    pairs = comparison.pairs
    several = len(pairs) > 1
    place = "" if several else f"{place_of(pairs[0].a.records[0])}: "
    title = Text(f"{place}{comparison.b} against {comparison.a}")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for column in (["task on target"] if several else []) + ["quantity"]:
        table.add_column(column)
    for column in (f"a: {comparison.a}", f"b: {comparison.b}", "b / a", "95 % CI"):
        table.add_column(Text(column), justify="right")
    for pair in pairs:
        lead = [Text(place_of(pair.a.records[0]))] if several else []
        for name, a, b, ratio, style, interval in _rows(pair):
            table.add_row(*lead, *(Text(cell) for cell in (name, a, b)), Text(ratio, style=style), Text(interval))
        table.add_section()
    return table


def comparison_notes(comparison: Comparison, ids: Mapping[str, str]) -> list[str]:
    """What is compared, what was left out of it and why, and what to be careful with.

    Args:
        ids: the short id of each record.
    """
    return list(dict.fromkeys(note for pair in comparison.pairs for note in _notes(pair, ids)))


def _rows(pair: Pair) -> Iterable[tuple[str, str, str, str, str, str]]:
    """Name, a, b, b / a, its colour, its interval."""
    yield "Verdict", _verdicts(pair.a), _verdicts(pair.b), "", "", ""
    if pair.accuracy:
        d = pair.accuracy
        interval = formatting.ABSENT if d.low is None or d.high is None else formatting.points_between(d.low, d.high)
        shown = formatting.percent(d.a, 2), formatting.percent(d.b, 2), formatting.points(d.delta)
        yield "Accuracy", *shown, "", interval
    noisy = any(record.noisy for record in (*pair.a.records, *pair.b.records))
    for item in pair.ratios:
        style = {True: "green", False: "red", None: ""}[item.better]
        ratio = formatting.ABSENT if item.ratio is None else f"{item.ratio:.3f}×"
        interval = formatting.ABSENT if item.low is None else f"{item.low:.3f} to {item.high:.3f}"
        timed = item.low is not None and noisy and pair.a.records[0].quantities[item.name].basis == "measured"
        a, b = (formatting.value_of(item.name, value, item.unit) for value in (item.a, item.b))
        yield formatting.title(item.name), a, b, ratio, style, f"{interval} (noisy)" if timed else interval


def _verdicts(choice: Choice) -> str:
    """`valid`, or `2 valid, 1 invalid: quality_target`."""
    texts = [r.verdict + (f": {r.failure.rule}" if r.failure else "") for r in choice.records]
    if len(texts) == 1:
        return texts[0]
    return ", ".join(f"{texts.count(text)} {text}" for text in dict.fromkeys(texts))


def _notes(pair: Pair, ids: Mapping[str, str]) -> list[str]:
    place = f"{pair.task}, {pair.target}"
    notes = [f"{side} on {place}: {_described(choice, ids)}" for side, choice in (("a", pair.a), ("b", pair.b))]
    notes += [_settings(pair), _drift(pair, place)]
    notes += [_left_out(choice, ids) for choice in (pair.a, pair.b)]
    by_reason: dict[str, list[str]] = {}
    for name, reason in pair.refused.items():
        by_reason.setdefault(reason, []).append(formatting.title(name))
    notes += [f"Not compared on {place}: {_several(names)}. {reason}" for reason, names in by_reason.items()]
    records = (*pair.a.records, *pair.b.records)
    notes += [f"{name_of(r, ids)}: {r.verdict}, {r.failure.rule}: {r.failure.message}" for r in records if r.failure]
    notes += remarks(records, ids)
    if len({record.effort for record in records}) > 1:
        notes.append(f"Measured with different efforts on {place}.")
    return [note for note in notes if note]


def _described(choice: Choice, ids: Mapping[str, str]) -> str:
    """The records of a side: which, of when, from which commit, and how each did where there are several."""
    records = choice.records
    commits = ", ".join(dict.fromkeys(commit_of(record) for record in records))
    made = f"commit {commits}, effort {records[0].effort}"
    if len(records) == 1:
        (record,) = records
        return f"{record.submission}, {seed_of(record)} ({ids[record.id]}), {date_of(record)}, {made}"
    each = ", ".join(f"{seed_of(r)} ({_brief(r, ids)})" for r in records)
    return f"{records[0].submission}, medians of {len(records)} records, {made}: {each}"


def _settings(pair: Pair) -> str:
    """Where both sides are the same submission: the settings in which they differ."""
    a, b = pair.a.records[-1], pair.b.records[-1]
    changed = [in_words(changed_settings(*order)) for order in ((a, b), (b, a))]
    if a.submission != b.submission or not any(changed):
        return ""
    return "They differ: " + "; ".join(f"{side} {text}" for side, text in zip("ab", changed, strict=True) if text)


def _drift(pair: Pair, place: str) -> str:
    """That the machine was not equally fast for both sides, where it was not."""
    if pair.drift is None or abs(math.log(pair.drift)) < WORTH_SAYING:
        return ""
    return (
        f"On {place} the dense network took {pair.drift:.2f}× as long beside b as beside a: the machine was not "
        "equally fast, and the intervals of latency and throughput carry it. Go by the speed-ups."
    )


def _left_out(choice: Choice, ids: Mapping[str, str]) -> str:
    """What else there is of a submission, by the reason why it does not count here."""
    if not choice.left_out:
        return ""
    parts = []
    by_reason = sorted(choice.left_out, key=lambda item: item[1])
    for reason, group in groupby(by_reason, key=lambda item: item[1]):
        records = sorted((record for record, _ in group), key=lambda record: record.created, reverse=True)
        parts.append(f"{reason}: {_several([_brief(record, ids, seed=True) for record in records])}")
    newest = choice.records[0]
    return f"Left out of {newest.submission} on {newest.task}, {newest.target}: " + "; ".join(parts)


def _several(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _brief(record: Record, ids: Mapping[str, str], seed: bool = False) -> str:
    """`1a2b3c4d seed 0 valid 99.13 %`."""
    accuracy = formatting.percent(record.quality.value, 2) if record.quality else ""
    words = (ids[record.id], seed_of(record) if seed else "", record.verdict, accuracy)
    return " ".join(word for word in words if word)
