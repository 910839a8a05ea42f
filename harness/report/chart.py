"""What the report's figures share: colours, labels, and a look that suits a light and a dark page.

Colours are those of Okabe and Ito, told apart by colour-blind readers too; the dense network is
grey throughout. Text that came from outside is escaped, since plotly reads tags in it.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.records import Record

if TYPE_CHECKING:
    import plotly.graph_objects as go

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot")
GREY = "#8a8f98"
LABEL_LENGTH = 40


@dataclass(frozen=True)
class Chart:
    """A figure with its heading and the sentence under it."""

    title: str
    note: str
    figure: go.Figure


@dataclass(frozen=True)
class Entry:
    """A record as the figures show it: a short escaped name, a colour and a line style."""

    record: Record
    label: str
    colour: str
    dash: str


def entries_of(records: Sequence[Record]) -> list[Entry]:
    """One colour a submission, one line style a seed; names grow only as far as they must to differ."""
    names = list(dict.fromkeys(record.submission for record in records))
    seeds = list(dict.fromkeys((record.seed, record.repeat) for record in records))
    entries = []
    for record in records:
        label = plain(record.submission)
        if len(seeds) > 1:
            label += f", seed {record.seed}" + (f" #{record.repeat}" if record.repeat else "")
        colour = PALETTE[names.index(record.submission) % len(PALETTE)]
        dash = DASHES[seeds.index((record.seed, record.repeat)) % len(DASHES)]
        entries.append(Entry(record, label, colour, dash))
    return entries


def plain(text: str) -> str:
    """Text that plotly shows as it is, cut where it is very long."""
    return html.escape(text if len(text) <= LABEL_LENGTH else text[: LABEL_LENGTH - 1] + "…", quote=False)


def style(figure: go.Figure, x_title: str | None, y_title: str | None = None) -> None:
    """No background and no fonts of its own: the page lends its colours, light or dark."""
    figure.update_layout(
        template="none",
        margin={"l": 60, "r": 24, "t": 34, "b": 52},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    if x_title:
        figure.update_xaxes(title_text=x_title, automargin=True, zeroline=False)
    figure.update_yaxes(automargin=True, zeroline=False)
    if y_title:
        figure.update_yaxes(title_text=y_title, title_standoff=14)
