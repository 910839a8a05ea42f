"""Distributions of latency, and what they are relative to."""

from __future__ import annotations

import pytest

from harness.views.report.chart import entries_of
from harness.views.report.latency import latency_charts


def test_simulated_times_are_called_so(make_record):
    timed = {"latency_ns": [1.0, 2.0], "dense_latency_ns": [3.0, 4.0]}
    (simulated,) = latency_charts(entries_of([make_record(target="eie", samples=timed)]))
    (measured,) = latency_charts(entries_of([make_record()]))
    assert "Times are simulated" in simulated.note and "ran in turns" in measured.note


def test_several_latencies_are_shown_relative_to_the_dense_network_beside_each(make_record):
    """One was measured while the machine ran at half its speed; against its own dense network it is as fast."""
    quick = make_record("a", samples={"latency_ns": [1e5, 1e5], "dense_latency_ns": [2e5, 2e5]})
    slow = make_record("b", samples={"latency_ns": [2e5, 2e5], "dense_latency_ns": [4e5, 4e5]})
    (chart,) = latency_charts(entries_of([quick, slow]))
    shown = {trace.name: set(trace.x) for trace in chart.figure.data}
    assert shown == {"dense reference": {1.0}, "a": {0.5}, "b": {0.5}}


def test_latency_curves_are_the_samples_quantiles(make_record):
    record = make_record(queries=101)
    (chart,) = latency_charts(entries_of([record]))
    dense, entry = chart.figure.data
    ordered = sorted(record.samples["latency_ns"])
    assert dense.name == "dense reference" and [1e3 * x for x in entry.x] == pytest.approx(ordered)
    assert list(entry.y)[50] == pytest.approx(50)
