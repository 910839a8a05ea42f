"""Figures about latency: its whole distribution, the entry's beside the dense network's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness import formatting
from harness.report.chart import GREY, Chart, Entry, style

if TYPE_CHECKING:
    import plotly.graph_objects as go

CURVE_POINTS = 400


def latency_charts(entries: Sequence[Entry]) -> list[Chart]:
    """For each target with raw samples: which share of queries was answered within which time."""
    targets = dict.fromkeys(e.record.target for e in entries if e.record.samples.get("latency_ns"))
    return [
        _latency_chart(target, [e for e in entries if e.record.target == target and e.record.samples.get("latency_ns")])
        for target in targets
    ]


def _latency_chart(target: str, entries: Sequence[Entry]) -> Chart:
    import plotly.graph_objects as go

    beside = [(entry, entry.record.samples.get("dense_latency_ns", [])) for entry in entries]
    curves = [(f"dense, beside {entry.label}", GREY, "solid", dense) for entry, dense in beside if dense]
    curves += [(e.label, e.colour, e.dash, e.record.samples["latency_ns"]) for e in entries]
    scale = formatting.scale_for([float(np.median(samples)) for *_, samples in curves], "ns")
    figure = go.Figure()
    for index, (name, colour, dash, samples) in enumerate(curves):
        shares = np.linspace(0, 1, min(CURVE_POINTS, len(samples)))
        figure.add_scatter(
            x=np.quantile(samples, shares) / scale.factor,
            y=100 * shares,
            name="dense" if colour == GREY else name,
            legendgroup="dense" if colour == GREY else name,
            showlegend=colour != GREY or index == 0,
            mode="lines",
            line={"color": colour, "width": 1.5 if colour == GREY else 2.5, "dash": dash},
            hovertemplate=f"%{{y:.0f}} % within %{{x:.4g}} {scale.unit}<extra>{name}</extra>",
        )
    for share in (50, 90, 99):
        figure.add_hline(y=share, line={"color": GREY, "width": 1, "dash": "dot"}, opacity=0.6)
    simulated = all(_simulated(entry) for entry in entries)
    style(figure, f"latency, {scale.unit} (logarithmic)", f"{'samples' if simulated else 'queries'} answered, %")
    figure.update_layout(height=430, xaxis_type="log", yaxis={"range": [0, 101], "tickvals": [0, 25, 50, 75, 90, 99]})
    _log_ticks(figure, np.concatenate([np.asarray(samples) for *_, samples in curves]) / scale.factor)
    return Chart(
        f"Latency on {target}",
        "Each curve shows the share that was answered within a time; further left is faster. "
        "Dotted lines mark the median, the 90th and the 99th percentile. "
        + ("Times are simulated." if simulated else "The dense network ran in turns with the entry."),
        figure,
    )


def _simulated(entry: Entry) -> bool:
    """Whether the times are a simulator's."""
    latency = entry.record.quantities.get("latency_p50_ns")
    return latency is not None and latency.basis == "simulated"


def _log_ticks(figure: go.Figure, values: np.ndarray) -> None:
    """Round ticks, more of them in a short range: plotly leaves a short logarithmic axis bare."""
    positive = values[values > 0]
    if len(positive) == 0:
        return
    low, high = float(positive.min()), float(positive.max())
    steps = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8) if high < 10 * low else (1, 2, 5) if high < 1000 * low else (1,)
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    figure.update_xaxes(tickvals=ticks, ticktext=[f"{tick:,g}" for tick in ticks])
