"""The report's figures, each a plotly figure with a sentence that says what to see in it.

Colours are those of Okabe and Ito, told apart by colour-blind readers too; the dense network is
grey throughout. Text that came from outside is escaped, since plotly reads tags in it.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import formatting
from harness.records import Record

if TYPE_CHECKING:
    import plotly.graph_objects as go

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot")
GREY = "#8a8f98"
CURVE_POINTS = 400
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
        label = record.submission
        if len(seeds) > 1:
            label += f", seed {record.seed}" + (f" #{record.repeat}" if record.repeat else "")
        colour = PALETTE[names.index(record.submission) % len(PALETTE)]
        dash = DASHES[seeds.index((record.seed, record.repeat)) % len(DASHES)]
        entries.append(Entry(record, plain(label), colour, dash))
    return entries


def plain(text: str) -> str:
    """Text that plotly shows as it is, cut where it is very long."""
    return html.escape(text if len(text) <= LABEL_LENGTH else text[: LABEL_LENGTH - 1] + "…", quote=False)


def accuracy_chart(entries: Sequence[Entry]) -> Chart | None:
    """Accuracy of each entry, with the paired interval, beside the reference and the quality target."""
    import plotly.graph_objects as go

    judged = [(entry, entry.record.quality) for entry in entries if entry.record.quality]
    if not judged:
        return None
    several = len({entry.record.target for entry, _ in judged}) > 1
    figure = go.Figure()
    for entry, q in reversed(judged):
        name = f"{entry.label} on {plain(entry.record.target)}" if several else entry.label
        up, down = (100 * (q.delta_ci_high - q.delta), 100 * (q.delta - q.delta_ci_low))
        valid = entry.record.verdict == "valid"
        figure.add_scatter(
            x=[100 * q.value],
            y=[name],
            error_x={"type": "data", "array": [up], "arrayminus": [down], "color": entry.colour, "thickness": 2},
            marker={"size": 11, "color": entry.colour, "symbol": "circle" if valid else "x"},
            mode="markers",
            hovertemplate=f"{name}: %{{x:.2f}} %<br>{formatting.points(q.delta, q.delta_ci_low, q.delta_ci_high)}"
            "<extra></extra>",
            showlegend=False,
        )
    for kind, dash, side in (("target", "dash", "top left"), ("dense", "dot", "top right")):
        for value in sorted({q.quality_target if kind == "target" else q.reference for _, q in judged}):
            line = {"dash": dash, "color": GREY, "width": 1.5}
            note = f"{kind} {100 * value:.2f} %"
            figure.add_vline(x=100 * value, line=line, annotation_text=note, annotation_position=side)
    _layout(figure, "top-1 accuracy, %" if judged[0][1].metric == "top1_accuracy" else judged[0][1].metric)
    figure.update_layout(height=150 + 34 * len(judged), yaxis={"automargin": True, "showgrid": False})
    return Chart(
        "Accuracy against the quality target",
        "Bars are paired 95 % intervals of the difference from the dense network on the same test samples. "
        "The point decides; a cross marks an entry that is not valid.",
        figure,
    )


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
    _layout(figure, f"latency, {scale.unit} (logarithmic)", "queries answered, %")
    figure.update_layout(height=430, xaxis_type="log", yaxis={"range": [0, 101], "tickvals": [0, 25, 50, 75, 90, 99]})
    _log_ticks(figure, np.concatenate([np.asarray(samples) for *_, samples in curves]) / scale.factor)
    return Chart(
        f"Latency on {target}",
        "Each curve shows the share of queries that were answered within a time; further left is faster. "
        "Dotted lines mark the median, the 90th and the 99th percentile. The dense network ran in turns with the entry.",
        figure,
    )


def tradeoff_charts(entries: Sequence[Entry]) -> list[Chart]:
    """For each target with three entries or more: accuracy against median latency, and who leads."""
    import plotly.graph_objects as go

    charts = []
    for target in dict.fromkeys(entry.record.target for entry in entries):
        placed = [
            (entry, entry.record.quantities["latency_p50_ns"].value, entry.record.quality)
            for entry in entries
            if entry.record.target == target and entry.record.quality and "latency_p50_ns" in entry.record.quantities
        ]
        if len(placed) < 3 or not _share_one_scale([entry.record for entry, *_ in placed]):
            continue
        scale = formatting.scale_for([latency for _, latency, _ in placed], "ns")
        front = pareto_front([(latency, q.value) for entry, latency, q in placed if entry.record.verdict == "valid"])
        figure = go.Figure()
        figure.add_scatter(
            x=[latency / scale.factor for latency, _ in front],
            y=[100 * value for _, value in front],
            mode="lines",
            line={"color": GREY, "shape": "hv", "width": 1.5},
            name="best so far",
            hoverinfo="skip",
        )
        points = [
            (entry.label, entry.colour, "circle" if entry.record.verdict == "valid" else "x", latency, q.value)
            for entry, latency, q in placed
        ]
        dense = [ns for entry, *_ in placed for ns in entry.record.samples.get("dense_latency_ns", [])]
        if dense:
            points.append(("dense", GREY, "diamond", float(np.median(dense)), placed[0][2].reference))
        for label, colour, symbol, latency, value in points:
            figure.add_scatter(
                x=[latency / scale.factor],
                y=[100 * value],
                mode="markers",
                name=label,
                marker={"color": colour, "size": 12, "symbol": symbol},
                hovertemplate=f"{label}<br>%{{x:.4g}} {scale.unit}, %{{y:.2f}} %<extra></extra>",
            )
        goal = max(100 * q.quality_target for *_, q in placed)
        line = {"color": GREY, "dash": "dash", "width": 1.5}
        figure.add_hline(y=goal, line=line, annotation_text=f"target {goal:.2f} %")
        _layout(figure, f"median latency, {scale.unit}", "accuracy, %")
        figure.update_layout(height=430)
        note = "Up and to the left is better. The line joins the valid entries that no other beats in both; a cross is not valid."
        charts.append(Chart(f"Accuracy against latency on {target}", note, figure))
    return charts


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (cost, value) that no other one beats, by rising cost."""
    front: list[tuple[float, float]] = []
    for cost, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or value > front[-1][1]:
            front.append((cost, value))
    return front


def layer_chart(entry: Entry) -> Chart | None:
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
    _layout(figure, None)
    figure.update_yaxes(title_text="MACs", row=1, col=1)
    figure.update_xaxes(tickvals=positions, ticktext=names, tickangle=-55, automargin=True, row=rows, col=1)
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


def _share_one_scale(records: Sequence[Record]) -> bool:
    """One task, and one machine where the latencies were measured."""
    measured = [record for record in records if record.quantities["latency_p50_ns"].basis == "measured"]
    machines = {record.environment.get("machine_fingerprint") for record in measured}
    return len({(record.task, record.task_version) for record in records}) == 1 and len(machines) <= 1


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


def _layout(figure: go.Figure, x_title: str | None, y_title: str | None = None) -> None:
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
        figure.update_yaxes(title_text=y_title)
