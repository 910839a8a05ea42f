"""Figures about a simulated accelerator: how evenly its elements work, and where the energy goes."""

from __future__ import annotations

from typing import Any

from harness.util.figures import PALETTE, plain, style
from harness.views.report.chart import Chart, Shown

COLOURS = (*PALETTE, "#8a8f98", "#F0E442")


def accelerator_chart(entry: Shown) -> Chart | None:
    """Load of each processing element, and energy by component, layer by layer; None for other targets."""
    from plotly.subplots import make_subplots

    layers = [layer for layer in entry.record.layers if _complete(layer)]
    if not layers:
        return None
    names = [plain(str(layer.get("name", index))) for index, layer in enumerate(layers)]
    positions = list(range(len(layers)))
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09, row_heights=[0.5, 0.5])
    elements = max(len(layer["pe_busy_cycles"]) for layer in layers)
    load = [
        [100 * layer["pe_busy_cycles"][element] / layer["cycles"] for layer in layers] for element in range(elements)
    ]
    figure.add_heatmap(
        x=positions,
        y=list(range(elements)),
        z=load,
        zmin=0,
        zmax=100,
        colorscale="Viridis",
        customdata=[names] * elements,
        hovertemplate="%{customdata}, element %{y}: multiplying in %{z:.1f} % of the cycles<extra></extra>",
        colorbar={"title": "busy, %", "len": 0.5, "y": 0.78, "thickness": 12},
        row=1,
        col=1,
    )
    components = list(dict.fromkeys(name for layer in layers for name in layer["energy_pj"]))
    shown = [name for name in components if any(layer["energy_pj"].get(name, 0) for layer in layers)]
    for colour, component in zip(COLOURS, shown, strict=False):
        figure.add_bar(
            x=positions,
            y=[layer["energy_pj"].get(component, 0) * 1e-3 for layer in layers],
            name=plain(component.replace("_", " ")),
            marker_color=colour,
            customdata=names,
            hovertemplate="%{customdata}: %{y:.3s} nJ<extra>%{fullData.name}</extra>",
            row=2,
            col=1,
        )
    style(figure, None)
    figure.update_yaxes(title_text="processing element", row=1, col=1)
    figure.update_yaxes(title_text="energy, nJ", row=2, col=1)
    figure.update_xaxes(
        tickvals=positions, ticktext=names, tickangle=-55, automargin=True, showgrid=False, row=2, col=1
    )
    figure.update_layout(height=680, bargap=0.25, barmode="stack")
    return Chart(
        f"{entry.record.submission} on {entry.record.target}: elements and energy",
        "Above, the share of a layer's cycles in which each processing element multiplies: dark rows are "
        "elements without work. Below, the energy of one inference by component.",
        figure,
    )


def _complete(layer: dict[str, Any]) -> bool:
    return bool(layer.get("cycles")) and bool(layer.get("pe_busy_cycles")) and isinstance(layer.get("energy_pj"), dict)
