"""Layers: a table of all that a target tells of them, and a figure of where the work is and weights were removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.store.records import Record
from harness.util.figures import GREY, plain, style
from harness.views import formatting
from harness.views.report.chart import Chart, Shown


def layer_table(record: Record) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: every column that any layer has, but those that hold many numbers a layer."""
    names = [
        name
        for name in dict.fromkeys(name for layer in record.layers for name in layer)
        if any(_cell(name, layer.get(name)) for layer in record.layers)
    ]
    rows = [[_cell(name, layer.get(name)) or formatting.ABSENT for name in names] for layer in record.layers]
    return [formatting.title(name) for name in names], rows


def layer_chart(entry: Shown) -> Chart | None:
    """MACs of each layer, dense beside effective, and the share of weights removed."""
    from plotly.subplots import make_subplots

    layers = [layer for layer in entry.record.layers if _number(layer.get("macs_dense")) is not None]
    if not layers:
        return None
    names = [plain(str(layer.get("name", index))) for index, layer in enumerate(layers)]
    positions = list(range(len(layers)))
    dense = [_number(layer["macs_dense"]) for layer in layers]
    effective = [_number(layer.get("macs_effective")) for layer in layers]
    sparsity = [layer_sparsity(layer) for layer in layers]
    rows = 2 if any(part is not None for part in sparsity) else 1
    figure = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.07, row_heights=[0.6, 0.4][:rows])
    bars = {"hovertemplate": "%{customdata}: %{y:.3s} MACs<extra>%{fullData.name}</extra>"}
    figure.add_bar(x=positions, y=dense, customdata=names, name="MACs, dense", marker_color=GREY, row=1, col=1, **bars)
    if any(value is not None for value in effective):
        named = {"name": "MACs, effective", "marker_color": entry.colour}
        figure.add_bar(x=positions, y=effective, customdata=names, row=1, col=1, **named, **bars)
    if rows == 2:
        figure.add_bar(
            x=positions,
            y=[None if part is None else 100 * part for part in sparsity],
            customdata=names,
            name="weights removed",
            marker={"color": entry.colour, "opacity": 0.5},
            hovertemplate="%{customdata}: %{y:.1f} % of the weights removed<extra></extra>",
            showlegend=False,
            row=2,
            col=1,
        )
        figure.update_yaxes(title_text="removed, %", range=[0, 100], row=2, col=1)
    style(figure, None)
    figure.update_yaxes(title_text="MACs", row=1, col=1)
    figure.update_xaxes(tickvals=positions, ticktext=names, tickangle=-55, automargin=True, row=rows, col=1)
    figure.update_xaxes(showgrid=False)
    figure.update_layout(height=520 if rows == 2 else 380, bargap=0.25, barmode="group")
    title = f"{entry.record.submission} on {entry.record.target}, layer by layer"
    return Chart(title, "Effective MACs leave out those with a removed weight.", figure)


def layer_sparsity(layer: dict[str, Any]) -> float | None:
    """The share of a layer's weights that are zero, from whichever columns its target writes."""
    for column in ("sparsity", "weights_removed_fraction"):
        value = _number(layer.get(column))
        if value is not None:
            return value
    total = _number(layer.get("weights"))
    kept = next(
        (n for c in ("nonzeros", "nonzero", "weights_nonzero") if (n := _number(layer.get(c))) is not None), None
    )
    return 1 - kept / total if total and kept is not None else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _cell(name: str, value: Any) -> str:
    """A plain value as text; empty for what is no single value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return formatting.value_of(name, value)
    return _shape(value) if name.endswith("shape") and isinstance(value, list | tuple) else ""


def _shape(sizes: Sequence[Any]) -> str:
    return "×".join(str(size) for size in sizes)
