"""What must not be set side by side."""

from __future__ import annotations

from harness.store.methodology import METHODOLOGY
from harness.views.comparable import EARLIER, barrier, bounds, earlier


def test_every_methodology_of_before_says_what_was_wrong():
    assert set(EARLIER) == set(range(1, METHODOLOGY))


def test_only_what_was_timed_is_of_an_older_methodology(make_record):
    assert earlier(make_record(methodology=1)).mark == "old export"
    assert earlier(make_record()) is None and earlier(make_record("a", "eie", methodology=1)) is None
    assert "does not know" in earlier(make_record(methodology=99)).caution


def test_speeds_stay_within_one_methodology_and_latencies_within_one_machine(make_record):
    old, new, elsewhere = make_record(methodology=1), make_record(), make_record(machine="other")
    assert "old export" in barrier("throughput_samples_per_s", [old, new])
    assert "old export" in barrier("speedup_vs_dense", [old, new])
    assert barrier("compression_ratio", [old, new]) is None
    assert barrier("speedup_vs_dense", [new, elsewhere]) is None
    assert "different machines" in barrier("latency_p99_ns", [new, elsewhere])


def test_intervals_that_left_out_the_rounds_are_not_shown(make_record):
    assert bounds(make_record(), "latency_p50_ns") is not None
    assert bounds(make_record(methodology=1), "latency_p50_ns") is None
    assert bounds(make_record(methodology=1), "speedup_vs_dense") is not None
    assert bounds(make_record(), "weights_bytes") is None
