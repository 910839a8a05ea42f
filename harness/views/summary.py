"""One row a record: which it is, whether it holds, and the figures people look at first.

In a pipe each record is one line, and all that tells records apart has a column. On a terminal lines
are short: what all records have in common stands once above the table, a cell takes several lines, and
only what differs is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.store.records import Record
from harness.views import formatting
from harness.views.comparable import bounds, earlier
from harness.views.labels import commit_of, date_of, differing_settings, in_words, seed_of, short_ids

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

VERDICT_STYLES = {"valid": "green", "invalid": "yellow", "error": "red"}
FIGURES = {
    "weights removed": "weights_removed_fraction",
    "compression": "compression_ratio",
    "p50 latency": "latency_p50_ns",
    "speed-up": "speedup_vs_dense",
    "energy": "energy_per_inference_pj",
}
# Heading on a terminal → the cells that stand below one another in it.
STACKS = {
    "accuracy": ("accuracy", "delta [95 % CI]"),
    "removed": ("weights removed", "compression"),
    "p50 latency, energy": ("p50 latency", "energy"),
    "speed-up": ("speed-up",),
}


@dataclass(frozen=True)
class Cell:
    """A figure, its 95 % interval, and why to doubt it (`noisy`, `simulated`, `old export`)."""

    value: str
    interval: str = ""
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        doubts = f"({', '.join(self.doubts)})" if self.doubts else ""
        return " ".join(part for part in (self.value, self.interval, doubts) if part)

    @property
    def lines(self) -> list[str]:
        return [part for part in (self.value, self.interval, *self.doubts) if part]


def summary_cells(record: Record) -> dict[str, Cell]:
    """The summary's figures by column; a dash where one is absent."""
    quality, failure = record.quality, record.failure
    cells = {"verdict": Cell(record.verdict + (":" if failure else ""), failure.rule if failure else "")}
    if quality:
        delta, interval = formatting.points(quality.delta, quality.delta_ci_low, quality.delta_ci_high).split(" [")
        cells["accuracy"] = Cell(formatting.percent(quality.value, 2))
        cells["delta [95 % CI]"] = Cell(delta, f"[{interval}")
    else:
        cells |= {name: Cell(formatting.ABSENT) for name in ("accuracy", "delta [95 % CI]")}
    return cells | {column: _figure(record, name) for column, name in FIGURES.items()}


def _figure(record: Record, name: str) -> Cell:
    item = record.quantities.get(name)
    if item is None:
        return Cell(formatting.ABSENT)
    value = formatting.quantity(name, item)
    if name in ("weights_removed_fraction", "compression_ratio"):
        return Cell(value)
    doubts: list[str] = [] if item.basis == "measured" else [item.basis]
    if item.basis == "measured":
        old = earlier(record)
        doubts += ["noisy"] if record.noisy else []
        doubts += [old.mark] if old and name == "speedup_vs_dense" else []
    ends = bounds(record, name) if name == "speedup_vs_dense" else None
    interval = f"[{formatting.number(ends[0])}, {formatting.number(ends[1])}]" if ends else ""
    return Cell(value, interval, tuple(doubts))


def summary_table(records: Sequence[Record], ids: Mapping[str, str] | None = None, *, stacked: bool = False) -> Table:
    """One row a record.

    Args:
        ids: the short id of each record, unique in its store; by default among `records`.
        stacked: for a terminal, in few columns; else one line a record.
    """
    ids = ids or short_ids(records)
    settings = differing_settings(records)
    return _stacked(records, ids, settings) if stacked else _flat(records, ids, settings)


def identity(record: Record, ids: Mapping[str, str], settings: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """What tells this record from others, by column."""
    return {
        "id": ids[record.id],
        "date": date_of(record),
        "task": record.task,
        "submission": record.submission,
        "target": record.target,
        "seed": seed_of(record).removeprefix("seed "),
        "effort": record.effort,
        "commit": commit_of(record),
        "settings": in_words(settings[record.id]),
    }


IDENTITY = ("id", "date", "task", "submission", "target", "seed", "effort", "commit", "settings")
SHARED = ("task", "target", "seed", "effort", "commit")


def _flat(records: Sequence[Record], ids: Mapping[str, str], settings: Mapping[str, Mapping[str, object]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in IDENTITY:
        table.add_column(column)
    table.add_column("verdict")
    for column in ("accuracy", "delta [95 % CI]", *FIGURES):
        table.add_column(Text(column), justify="right")
    for record in records:
        verdict, *figures = summary_cells(record).values()
        named = [Text(text) for text in identity(record, ids, settings).values()]
        table.add_row(*named, _verdict(record, str(verdict)), *(Text(str(cell)) for cell in figures))
    return table


def _stacked(records: Sequence[Record], ids: Mapping[str, str], settings: Mapping[str, Mapping[str, object]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    named = [identity(record, ids, settings) for record in records]
    shared = [name for name in SHARED if len({each[name] for each in named}) == 1]
    title = ", ".join(named[0][name] if name in ("task", "target") else f"{name} {named[0][name]}" for name in shared)
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("submission", overflow="fold", min_width=14)
    for column in STACKS:
        table.add_column(column.replace(", ", ",\n"), justify="right", no_wrap=True)
    for record, name in zip(records, named, strict=True):
        cells = summary_cells(record)
        figures = [[line for part in parts for line in cells[part].lines] for parts in STACKS.values()]
        lead = Text("\n").join(_named(name, shared, _verdict(record, str(cells["verdict"]))))
        table.add_row(lead, *(Text("\n".join(lines)) for lines in figures), end_section=True)
    return table


def _named(named: Mapping[str, str], shared: Sequence[str], verdict: Text) -> list[Text]:
    """The submission, its verdict, and line by line what of the rest it does not share with all others."""
    from rich.text import Text

    differs = [f"seed {named[name]}" if name == "seed" else named[name] for name in SHARED if name not in shared]
    lines = [f"{named['id']} {named['date'].removeprefix('20')}", *([", ".join(differs)] if differs else [])]
    settings = [Text(named["settings"])] if named["settings"] else []
    return [Text(named["submission"], style="bold"), verdict, *(Text(line, style="dim") for line in lines), *settings]


def _verdict(record: Record, text: str) -> Text:
    from rich.text import Text

    return Text(text, style=VERDICT_STYLES[record.verdict])
