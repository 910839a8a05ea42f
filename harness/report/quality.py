"""Figures about accuracy: against the quality target, and against latency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness import formatting
from harness.records import Record
from harness.report.chart import GREY, Chart, Entry, plain, style


def accuracy_chart(entries: Sequence[Entry]) -> Chart | None:
    """Accuracy of each entry, with the paired interval, beside the reference and the quality target."""
    import plotly.graph_objects as go

    judged = [(entry, entry.record.quality) for entry in entries if entry.record.quality]
    if not judged:
        return None
    several = len({entry.record.target for entry, _ in judged}) > 1
    figure = go.Figure()
    names = []
    for row, (entry, q) in enumerate(reversed(judged)):
        name = f"{entry.label} on {plain(entry.record.target)}" if several else entry.label
        names.append(name)
        up, down = (100 * (q.delta_ci_high - q.delta), 100 * (q.delta - q.delta_ci_low))
        valid = entry.record.verdict == "valid"
        figure.add_scatter(
            x=[100 * q.value],
            y=[row],
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
    style(figure, "top-1 accuracy, %" if judged[0][1].metric == "top1_accuracy" else judged[0][1].metric)
    ticks = {"tickvals": list(range(len(names))), "ticktext": names}
    figure.update_yaxes(**ticks, range=[-0.6, len(names) - 0.4], showgrid=False)
    figure.update_layout(height=150 + 34 * len(judged))
    return Chart(
        "Accuracy against the quality target",
        "Bars are paired 95 % intervals of the difference from the dense network on the same test samples. "
        "The point decides; a cross marks an entry that is not valid.",
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
            name="not beaten",
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
        style(figure, f"median latency, {scale.unit}", "accuracy, %")
        figure.update_layout(height=430)
        note = (
            "Up and to the left is better. The line joins the valid entries that no other beats in both; "
            "a cross marks an entry that is not valid."
        )
        charts.append(Chart(f"Accuracy against latency on {target}", note, figure))
    return charts


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (cost, value) that no other one beats, by rising cost."""
    front: list[tuple[float, float]] = []
    for cost, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or value > front[-1][1]:
            front.append((cost, value))
    return front


def _share_one_scale(records: Sequence[Record]) -> bool:
    """One task, and one machine where the latencies were measured."""
    measured = [record for record in records if record.quantities["latency_p50_ns"].basis == "measured"]
    machines = {record.environment.get("machine_fingerprint") for record in measured}
    return len({(record.task, record.task_version) for record in records}) == 1 and len(machines) <= 1
