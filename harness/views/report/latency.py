"""Figures about latency: its whole distribution, the submission's beside the dense network's.

The medians of two records were taken at different minutes, in which the machine was not equally fast.
What they share is the dense network, which ran in turns with each: where several records are shown, times
are those of the dense network beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.util.figures import GREY, scale_of_factors, style
from harness.views import formatting
from harness.views.comparable import earlier
from harness.views.report.chart import Chart, Shown
from harness.views.report.grouping import Group, groups_of, left_out

CURVE_POINTS = 400
SHOWN = 0.995  # the few slowest queries would take most of the axis


@dataclass(frozen=True)
class Curve:
    """One model's samples, in the unit of the axis."""

    name: str
    colour: str
    dash: str
    samples: np.ndarray


def latency_charts(entries: Sequence[Shown]) -> list[Chart]:
    """For each task and target with raw samples: which share of queries was answered within which time."""
    charts = []
    for group in groups_of([e for e in entries if e.record.samples.get("latency_ns")]):
        shown = [e for e in group.entries if earlier(e.record) is None]
        if len(shown) > 1:
            shown = [e for e in shown if e.record.samples.get("dense_latency_ns")]
        if shown:
            charts.append(_latency_chart(group, shown))
    return charts


def _latency_chart(group: Group, entries: Sequence[Shown]) -> Chart:
    import plotly.graph_objects as go

    relative = len(entries) > 1
    curves, unit = _relative(entries) if relative else _absolute(entries[0])
    figure = go.Figure()
    for index, curve in enumerate(curves):
        dense = curve.colour == GREY
        shares = np.linspace(0, 1, min(CURVE_POINTS, len(curve.samples)))
        figure.add_scatter(
            x=np.quantile(curve.samples, shares),
            y=100 * shares,
            name="dense reference" if dense else curve.name,
            legendgroup="dense" if dense else curve.name,
            showlegend=not dense or index == 0,
            mode="lines",
            line={"color": curve.colour, "width": 1.5 if dense else 2.5, "dash": curve.dash},
            hovertemplate=f"%{{y:.0f}} % within %{{x:.4g}} {unit}<extra>{curve.name}</extra>",
        )
    for share in (50, 90, 99):
        figure.add_hline(y=share, line={"color": GREY, "width": 1, "dash": "dot"}, opacity=0.6)
    simulated = group.simulated("latency_p50_ns")
    title = "latency ÷ median of the dense network beside it" if relative else f"latency, {unit}"
    style(figure, title, f"{'samples' if simulated else 'queries'} answered, %")
    figure.update_layout(height=430, yaxis={"range": [0, 101], "tickvals": [0, 25, 50, 75, 90, 99]})
    ends = np.array([np.quantile(curve.samples, (0, SHOWN)) for curve in curves])
    scale_of_factors(figure, float(ends[:, 0].min()), float(ends[:, 1].max()))
    note = (
        "Each curve shows the share that was answered within a time; further left is faster. "
        "Dotted lines mark the median, the 90th and the 99th percentile. "
        + ("Times are simulated. " if simulated else "The dense network ran in turns with the submission. ")
        + left_out([e for e in group.entries if e not in entries])
    )
    return Chart(f"Latency: {group.title}", note.strip(), figure)


def _absolute(entry: Shown) -> tuple[list[Curve], str]:
    record = entry.record
    own = np.asarray(record.samples["latency_ns"], float)
    dense = np.asarray(record.samples.get("dense_latency_ns", []), float)
    scale = formatting.scale_for([float(np.median(each)) for each in (own, dense) if each.size], "ns")
    beside = [Curve(f"dense, beside {entry.label}", GREY, "solid", dense / scale.factor)] if dense.size else []
    return [*beside, Curve(entry.label, entry.colour, entry.dash, own / scale.factor)], scale.unit


def _relative(entries: Sequence[Shown]) -> tuple[list[Curve], str]:
    pairs = [tuple(np.asarray(e.record.samples[k], float) for k in ("latency_ns", "dense_latency_ns")) for e in entries]
    beside = [
        Curve(f"dense, beside {e.label}", GREY, "solid", dense / np.median(dense))
        for e, (_, dense) in zip(entries, pairs, strict=True)
    ]
    own = [
        Curve(e.label, e.colour, e.dash, samples / np.median(dense))
        for e, (samples, dense) in zip(entries, pairs, strict=True)
    ]
    return beside + own, "of the dense median"
