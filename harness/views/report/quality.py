"""Figures about accuracy: against the quality target, and against the speed-up."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from harness.store.quality import Quality
from harness.util.figures import GREY, plain, scale_of_factors, style
from harness.views import formatting
from harness.views.comparable import bounds, earlier
from harness.views.report.chart import Chart, Shown
from harness.views.report.grouping import Group, groups_of, left_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

SPEEDUP = "speedup_vs_dense"
FEWEST = 2
LOGARITHMIC_FROM = 8.0  # greatest speed-up over least


def accuracy_charts(entries: Sequence[Shown]) -> list[Chart]:
    """For each task: accuracy of each submission, with the paired interval, beside reference and quality target."""
    judged: dict[str, list[tuple[Shown, Quality]]] = {}
    for entry in entries:
        if entry.record.quality:
            judged.setdefault(entry.record.task, []).append((entry, entry.record.quality))
    return [_accuracy_chart(task, of) for task, of in judged.items()]


def _accuracy_chart(task: str, judged: Sequence[tuple[Shown, Quality]]) -> Chart:
    import plotly.graph_objects as go

    several = len({entry.record.target for entry, _ in judged}) > 1
    figure = go.Figure()
    names = []
    for row, (entry, q) in enumerate(reversed(judged)):
        name = f"{entry.label} on {plain(entry.record.target)}" if several else entry.label
        names.append(name)
        figure.add_scatter(
            x=[100 * q.value],
            y=[row],
            error_x=_accuracy_error(q, entry.colour),
            marker={"size": 11, "color": entry.colour, "symbol": _symbol(entry)},
            mode="markers",
            hovertemplate=f"{name}: %{{x:.2f}} %<br>{formatting.points(q.delta, q.delta_ci_low, q.delta_ci_high)}"
            "<extra></extra>",
            showlegend=False,
        )
    for kind, dash, side in (("target", "dash", "top left"), ("dense", "dot", "top right")):
        values = sorted({q.quality_target if kind == "target" else q.reference for _, q in judged})
        for value in values:
            line = {"dash": dash, "color": GREY, "width": 1.5}
            note = f"{kind} {' and '.join(f'{100 * each:.2f}' for each in values)} %" if value == values[-1] else ""
            figure.add_vline(x=100 * value, line=line, annotation_text=note, annotation_position=side)
    style(figure, _metric(judged[0][1]))
    ticks = {"tickvals": list(range(len(names))), "ticktext": names}
    figure.update_yaxes(**ticks, range=[-0.6, len(names) - 0.4], showgrid=False)
    figure.update_layout(height=150 + 34 * len(judged))
    return Chart(
        f"Accuracy against the quality target: {task}",
        "Bars are paired 95 % intervals of the difference from the dense network on the same test samples. "
        "The point decides; a cross marks a submission that is not valid.",
        figure,
    )


def tradeoff_charts(entries: Sequence[Shown]) -> list[Chart]:
    """For each task and target with two submissions or more: accuracy against speed-up, and who leads.

    The speed-up is against the dense network that ran in turns with the submission. Latencies of different
    records say less: they were taken at different minutes.
    """
    charts = []
    for group in groups_of([entry for entry in entries if entry.record.quality]):
        placed = [e for e in group.entries if earlier(e.record) is None and SPEEDUP in e.record.quantities]
        if len(placed) >= FEWEST:
            charts.append(_tradeoff_chart(group, placed))
    return charts


def _tradeoff_chart(group: Group, placed: Sequence[Shown]) -> Chart:
    import plotly.graph_objects as go

    judged = [(entry, entry.record.quality) for entry in placed if entry.record.quality]
    points = [(_speedup(e), q.value) for e, q in judged if e.record.verdict == "valid"]
    front = [(-cost, value) for cost, value in pareto_front([(-speed, value) for speed, value in points])][::-1]
    figure = go.Figure()
    figure.add_scatter(
        x=[speed for speed, _ in front],
        y=[100 * value for _, value in front],
        mode="lines",
        line={"color": GREY, "shape": "vh", "width": 1.5},
        name="not beaten",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[1.0],
        y=[100 * median(q.reference for _, q in judged)],
        mode="markers",
        name="dense reference",
        marker={"color": GREY, "size": 12, "symbol": "diamond"},
        hovertemplate="dense<br>1×, %{y:.2f} %<extra></extra>",
    )
    for entry, q in judged:
        _add_point(figure, entry, q)
    goal = max(100 * q.quality_target for _, q in judged)
    line = {"color": GREY, "dash": "dash", "width": 1.5}
    figure.add_hline(y=goal, line=line, annotation_text=f"target {goal:.2f} %", annotation_position="bottom left")
    simulated = group.simulated(SPEEDUP)
    style(
        figure, f"speed-up against dense, {'simulated' if simulated else 'in turns with it'}, ×", _metric(judged[0][1])
    )
    speeds = [1.0, *(_speedup(entry) for entry in placed)]
    if min(speeds) > 0 and max(speeds) / min(speeds) > LOGARITHMIC_FROM:
        scale_of_factors(figure, min(speeds), max(speeds))
    figure.update_layout(height=430)
    note = (
        "Up and to the right is better. Bars are 95 % intervals: where they overlap, the order is open. "
        "The line joins the valid submissions that no other beats in both; a cross marks one that is not valid, "
        "a hollow mark one whose measurement was noisy. "
        + left_out([entry for entry in group.entries if entry not in placed])
    )
    return Chart(f"Accuracy against speed-up: {group.title}", note.strip(), figure)


def _add_point(figure: go.Figure, entry: Shown, q: Quality) -> None:
    record, speed = entry.record, _speedup(entry)
    ends = bounds(record, SPEEDUP)
    latency = formatting.quantity("latency_p50_ns", record.quantities.get("latency_p50_ns"))
    interval = f" [{formatting.number(ends[0])}, {formatting.number(ends[1])}]" if ends else ", no interval"
    noisy = ", noisy" if record.noisy else ""
    error = {"type": "data", "color": entry.colour, "thickness": 1.5, "width": 3}
    figure.add_scatter(
        x=[speed],
        y=[100 * q.value],
        error_x=error | {"array": [ends[1] - speed], "arrayminus": [speed - ends[0]]} if ends else None,
        error_y=_accuracy_error(q, entry.colour) | {"width": 3, "thickness": 1.5},
        mode="markers",
        name=entry.label,
        marker={
            "color": entry.colour,
            "size": 12,
            "symbol": _symbol(entry) + ("-open" if record.noisy and record.verdict == "valid" else ""),
            "line": {"color": entry.colour, "width": 2},
        },
        hovertemplate=f"{entry.label}<br>%{{x:.4g}}×{interval}{noisy}, %{{y:.2f}} %<br>median latency {latency}"
        "<extra></extra>",
    )


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (cost, value) that no other one beats, by rising cost."""
    front: list[tuple[float, float]] = []
    for cost, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or value > front[-1][1]:
            front.append((cost, value))
    return front


def _speedup(entry: Shown) -> float:
    return entry.record.quantities[SPEEDUP].value


def _accuracy_error(q: Quality, colour: str) -> dict:
    up, down = 100 * (q.delta_ci_high - q.delta), 100 * (q.delta - q.delta_ci_low)
    return {"type": "data", "array": [up], "arrayminus": [down], "color": colour, "thickness": 2}


def _symbol(entry: Shown) -> str:
    return "circle" if entry.record.verdict == "valid" else "x"


def _metric(q: Quality) -> str:
    return "top-1 accuracy, %" if q.metric == "top1_accuracy" else f"{q.metric}, %"
