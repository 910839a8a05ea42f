"""What the report's figures show a record as: its label, its colour, its line style."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.store.records import Record
from harness.util.figures import DASHES, PALETTE, plain
from harness.views.labels import differing_settings, in_words, place_of, seed_of, short_ids

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Chart:
    """A figure with its heading and the sentence under it."""

    title: str
    note: str
    figure: go.Figure


@dataclass(frozen=True)
class Shown:
    """A record as the figures show it: a short escaped name, a colour and a line style."""

    record: Record
    label: str
    colour: str
    dash: str


def entries_of(records: Sequence[Record], ids: Mapping[str, str] | None = None) -> list[Shown]:
    """One colour a name, or a submission where there are many; one line style a seed.

    Names grow only as far as they must to differ.
    """
    labels = _labels(records, ids or short_ids(records))
    hues = labels if len(set(labels)) <= len(PALETTE) else [record.submission for record in records]
    order = list(dict.fromkeys(hues))
    seeds = list(dict.fromkeys((record.seed, record.repeat) for record in records))
    return [
        Shown(
            record,
            label,
            PALETTE[order.index(hue) % len(PALETTE)],
            DASHES[seeds.index((record.seed, record.repeat)) % len(DASHES)],
        )
        for record, label, hue in zip(records, labels, hues, strict=True)
    ]


def _labels(records: Sequence[Record], ids: Mapping[str, str]) -> list[str]:
    """Escaped names, unlike one another on one task and target: with seed, settings and id as far as needed."""
    settings = differing_settings(records)
    tells: tuple[Callable[[Record], str], ...] = (
        seed_of,
        lambda record: in_words(settings[record.id]),
        lambda record: ids[record.id],
    )
    labels = [plain(record.submission) for record in records]
    for tell in tells:
        told: dict[tuple[str, str], set[str]] = {}
        for record, label in zip(records, labels, strict=True):
            told.setdefault((place_of(record), label), set()).add(tell(record))
        labels = [
            f"{label}, {plain(tell(record))}" if len(told[place_of(record), label]) > 1 and tell(record) else label
            for record, label in zip(records, labels, strict=True)
        ]
    return labels
