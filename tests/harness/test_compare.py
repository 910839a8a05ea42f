"""What may be compared, how, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.compare import compare, comparison_table, select
from harness.intervals import bootstrap_quantile
from harness.names import UnknownNameError, UsageError
from harness.results import print_table
from hw_targets.target import Quantity


def ratio_of(comparison, name):
    return next(item for item in comparison.pairs[0].ratios if item.name == name)


def test_two_records_give_ratios_with_intervals(make_record):
    slow, fast = make_record("slow", latency_ns=400_000.0), make_record("fast", latency_ns=200_000.0)
    comparison = compare([slow], [fast])
    item = ratio_of(comparison, "latency_p50_ns")
    expected = fast.quantities["latency_p50_ns"].value / slow.quantities["latency_p50_ns"].value
    assert item.ratio == pytest.approx(expected) and 0.48 < item.low < item.ratio < item.high < 0.52
    assert item.better is True
    speedup = ratio_of(comparison, "speedup_vs_dense")
    assert speedup.ratio == pytest.approx(2.0) and speedup.better is True
    assert speedup.low == pytest.approx(2.0 * np.exp(-np.hypot(np.log(1 / 0.985), np.log(1.015))))
    backwards = ratio_of(compare([fast], [slow]), "latency_p50_ns")
    assert backwards.ratio == pytest.approx(1 / item.ratio) and backwards.better is False
    assert ratio_of(comparison, "weights_bytes").low is None, "no interval is invented"


def test_accuracy_is_compared_with_a_wide_enough_interval(make_record):
    accuracy = compare([make_record("a", accuracy=0.92)], [make_record("b", accuracy=0.91)]).pairs[0].accuracy
    assert accuracy.delta == pytest.approx(-0.01)
    assert accuracy.high - accuracy.delta == pytest.approx(0.0031 * 2**0.5)


def test_latency_is_refused_across_machines_and_the_rest_is_compared(make_record):
    comparison = compare([make_record(machine="aaaaaaaaaaaa")], [make_record(machine="bbbbbbbbbbbb", removed=0.5)])
    pair = comparison.pairs[0]
    compared = {item.name for item in pair.ratios}
    assert {"weights_removed_fraction", "speedup_vs_dense", "macs_effective"} <= compared
    assert not {name for name in compared if name.startswith(("latency", "throughput_samples"))}
    assert "aaaaaaaaaaaa, bbbbbbbbbbbb" in pair.refused["latency_p50_ns"] and pair.accuracy is not None


def test_simulated_latency_does_not_depend_on_the_machine(make_record):
    pair = compare([make_record(target="eie", machine="a")], [make_record(target="eie", machine="b")]).pairs[0]
    assert "latency_p50_ns" in {item.name for item in pair.ratios}


def test_a_record_without_fingerprint_is_not_trusted(make_record):
    pair = compare([make_record()], [make_record(environment={})]).pairs[0]
    assert "does not say which machine" in pair.refused["latency_p90_ns"]


def test_nothing_left_to_compare_is_an_error(make_record):
    latency = {"latency_p50_ns": Quantity(1.0, "ns", "measured", "x")}
    sides = [make_record(machine=name, quality=None, quantities=latency) for name in "ab"]
    with pytest.raises(UsageError, match="different machines"):
        compare(sides[:1], sides[1:])


def test_measured_and_modelled_are_not_mixed(make_record):
    a, b = (make_record(quantities={"energy_per_inference_pj": Quantity(9.0, "pJ", basis, "x")})
            for basis in ("measured", "modelled"))  # fmt: skip
    assert "modelled" in compare([a], [b]).pairs[0].refused["energy_per_inference_pj"]


def test_submissions_are_compared_by_their_newest_valid_records(make_record):
    old = make_record("a", latency_ns=1e6, created="2026-01-01T00:00:00+00:00")
    seeds = [make_record("a", seed=seed, latency_ns=us * 1e3) for seed, us in enumerate((300, 400, 900))]
    broken = make_record("a", seed=1, verdict="error", created="2026-05-01T00:00:00+00:00")
    other = [make_record("b", seed=seed, latency_ns=200e3) for seed in range(3)]
    comparison = compare([old, broken, *seeds], other)
    assert comparison.pairs[0].a == (seeds[0], seeds[1], seeds[2])
    assert ratio_of(comparison, "latency_p50_ns").a == seeds[1].quantities["latency_p50_ns"].value
    assert (comparison.a, comparison.b) == ("a", "b")


def test_each_shared_target_is_a_pair(make_record):
    a, b = ([make_record(name, target) for target in ("cpu", "eie")] for name in "ab")
    assert [pair.target for pair in compare(a, b).pairs] == ["cpu", "eie"]
    assert [pair.target for pair in compare(a, b[1:]).pairs] == ["eie"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "other"}, "Different tasks .* cifar10_resnet20 version 1 and other version 1"),
        ({"task_version": 2}, "Different tasks"),
        ({"target": "eie"}, "share no target: cpu and eie"),
    ],
)
def test_what_does_not_belong_together_is_refused(make_record, changes, message):
    with pytest.raises(UsageError, match=message):
        compare([make_record()], [make_record(**changes)])


def test_empty_and_invalid_sides_are_refused(make_record):
    good, bad = make_record(), [make_record("bad", verdict="invalid", seed=seed) for seed in (0, 1)]
    with pytest.raises(UsageError, match=r"first side .* empty"):
        compare([], [good])
    with pytest.raises(UsageError, match="bad has no valid record"):
        compare([good], bad)
    assert "invalid" in compare([good], bad[:1]).pairs[0].notes[0]


def test_names_are_resolved(make_record):
    records = [make_record(name) for name in ("magnitude", "taylor")]
    assert select(records, "taylor") == records[1:]
    assert select(records, records[0].id) == select(records, records[0].id[:6]) == records[:1]
    with pytest.raises(UnknownNameError, match="Did you mean magnitude"):
        select(records, "magnitud")
    with pytest.raises(UnknownNameError):
        select(records, "")
    twins = [make_record(id="abcdef0"), make_record(id="abcdef1")]
    with pytest.raises(UsageError, match="2 records begin with 'abcdef'"):
        select(twins, "abcdef")


def test_the_table_shows_ratios_and_refusals(make_record):
    comparison = compare([make_record("a[b]", machine="m1")], [make_record("b", machine="m2")])
    stream = io.StringIO()
    print_table(comparison_table(comparison), stream)
    text = stream.getvalue()
    assert "a[b]" in text and "Accuracy" in text and "1.000×" in text
    assert "Not compared on cpu: Latency, median" in text and "different machines (m1, m2)" in text


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(1, 1e9), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.99]))
def test_replicates_are_sample_values(samples, p):
    replicates = bootstrap_quantile(samples, p, np.random.default_rng(1))
    assert set(replicates) <= set(samples)


def test_the_short_cut_is_the_bootstrap():
    """Against resampling outright: the same distribution, up to the error of 2000 replicates."""
    generator = np.random.default_rng(2)
    samples = generator.lognormal(size=101)
    slow = np.sort(generator.choice(samples, (2000, 101)), axis=1)[:, 50]
    fast = bootstrap_quantile(samples.tolist(), 0.5, generator)
    levels = (0.025, 0.25, 0.5, 0.75, 0.975)
    assert np.quantile(fast, levels) == pytest.approx(np.quantile(slow, levels), rel=0.06)
