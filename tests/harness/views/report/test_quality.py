"""Accuracy against the speed-up: what is placed where, what leads, and what is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.views.report.chart import entries_of
from harness.views.report.quality import accuracy_charts, pareto_front, tradeoff_charts


def points_of(chart):
    """Name → (speed-up, accuracy in per cent, bounds of the speed-up's interval) of each mark."""
    found = {}
    for trace in chart.figure.data:
        if trace.mode == "markers":
            error, x = trace.error_x, trace.x[0]
            ends = (x - error.arrayminus[0], x + error.array[0]) if error.array else None
            found[trace.name] = x, trace.y[0], ends
    return found


def test_accuracy_is_plotted_against_the_speedup_with_its_interval(make_record):
    """Medians of different minutes are not comparable: the axis is the ratio to the dense network beside it."""
    records = [make_record(name, latency_ns=ns) for name, ns in (("a", 4e5), ("b", 3e5))]
    (chart,) = tradeoff_charts(entries_of(records))
    assert chart.title == "Accuracy against speed-up: cifar10_resnet20 on cpu"
    assert chart.figure.layout.xaxis.title.text.startswith("speed-up against dense")
    points = points_of(chart)
    assert points["dense reference"][:2] == (1.0, pytest.approx(92.25))
    for record in records:
        speedup = record.quantities["speedup_vs_dense"]
        assert points[record.submission] == (
            speedup.value,
            pytest.approx(91.87),
            pytest.approx((speedup.low, speedup.high)),
        )


def test_noisy_and_invalid_points_look_so_and_only_valid_ones_lead(make_record):
    records = [
        make_record("quiet", latency_ns=4e5),
        make_record("noisy", latency_ns=3e5, noisy="load", accuracy=0.915),
        make_record("fastest", latency_ns=1e5, verdict="invalid", accuracy=0.85),
    ]
    (chart,) = tradeoff_charts(entries_of(records))
    symbols = {trace.name: trace.marker.symbol for trace in chart.figure.data if trace.mode == "markers"}
    assert symbols == {"dense reference": "diamond", "quiet": "circle", "noisy": "circle-open", "fastest": "x"}
    line = chart.figure.data[0]
    assert [round(x, 2) for x in line.x] == [1.55, 2.07] and list(line.y) == pytest.approx([91.87, 91.5])


def test_an_entry_without_speedup_is_left_out_with_the_reason(make_record):
    records = [make_record(name) for name in "abc"]
    few = {name: item for name, item in records[2].quantities.items() if name != "speedup_vs_dense"}
    records[2] = make_record("c", quantities=few, absent={"speedup_vs_dense": "not in time."})
    (chart,) = tradeoff_charts(entries_of(records))
    assert "Left out: c (not in time)." in chart.note and "c" not in points_of(chart)


def test_each_task_target_and_machine_has_a_figure_of_its_own(make_record):
    records = [make_record(name, task=task) for name in "ab" for task in ("x", "y")]
    records += [make_record(name, task="x", machine="other") for name in "cd"]
    titles = [chart.title for chart in tradeoff_charts(entries_of(records))]
    assert [title.split(": ")[1] for title in titles] == [
        "x on cpu, machine 3f2a9c4b7d10",
        "x on cpu, machine other",
        "y on cpu",
    ]
    assert len(accuracy_charts(entries_of(records))) == 2


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1))
def test_no_point_beats_the_front_and_every_other_is_beaten(points):
    front = pareto_front(points)
    for cost, value in points:
        assert any(c <= cost and v >= value for c, v in front)
    for cost, value in front:
        assert not any((c < cost and v >= value) or (c <= cost and v > value) for c, v in points)
