"""What all figures share: colours, and a look that suits a light and a dark page.

Colours are those of Okabe and Ito, told apart by colour-blind readers too; the dense network is
grey throughout. Text that came from outside is escaped, since plotly reads tags in it.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot")
GREY = "#8a8f98"
LABEL_LENGTH = 40


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


def scale_of_factors(figure: go.Figure, low: float, high: float) -> None:
    """Make the horizontal axis logarithmic, with round ticks: plotly leaves a short one bare.

    A range below a factor of two stays linear.
    """
    if not 0 < 2 * low <= high:
        return
    steps = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8) if high < 10 * low else (1, 2, 5) if high < 1000 * low else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,g}" for tick in ticks])
    figure.update_xaxes(range=[math.log10(low) - 0.02, math.log10(high) + 0.02])
