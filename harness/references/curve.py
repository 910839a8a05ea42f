"""The learning curve as a page: loss, validation accuracy and learning rate by epoch, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.util.files import write_atomically

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROWS = (
    ("loss", "training loss", "%{y:.4f}"),
    ("validation_accuracy", "validation accuracy", "%{y:.2%}"),
    ("learning_rate", "learning rate", "%{y:.3g}"),
)


def write_curve(path: Path, title: str, curve: Sequence[Mapping[str, Any]]) -> None:
    """Write the page, plotly.js included, at once: it opens without a network.

    Args:
        curve: a line each epoch: `epoch`, `loss`, `validation_accuracy` (0…1), `learning_rate`.
    """
    page = curve_figure(title, curve).to_html(include_plotlyjs=True, config={"displaylogo": False})
    write_atomically(path, page)


def curve_figure(title: str, curve: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Three panels over one axis of epochs."""
    from plotly.subplots import make_subplots

    from harness.util.figures import PALETTE, plain, style

    figure = make_subplots(rows=len(ROWS), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    epochs = [line["epoch"] for line in curve]
    for row, (key, _, shown) in enumerate(ROWS, start=1):
        figure.add_scatter(
            x=epochs,
            y=[line[key] for line in curve],
            mode="lines+markers" if len(curve) < 30 else "lines",
            line={"color": PALETTE[row - 1], "width": 2},
            hovertemplate=f"epoch %{{x}}: {shown}<extra></extra>",
            row=row,
            col=1,
        )
    style(figure, None)
    for row, (_, name, _) in enumerate(ROWS, start=1):
        figure.update_yaxes(title_text=name, title_standoff=14, row=row, col=1)
    figure.update_yaxes(tickformat=".0%", row=2, col=1)
    figure.update_xaxes(title_text="epoch", row=len(ROWS), col=1)
    figure.update_layout(title_text=plain(title), showlegend=False, height=780, margin={"t": 60})
    return figure
