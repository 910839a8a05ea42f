"""What may be compared, how, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from harness.util.names import UsageError
from harness.views.compare import compare
from hw_targets.target import Quantity


def ratio_of(comparison, name):
    return next(item for item in comparison.pairs[0].ratios if item.name == name)


def test_two_records_give_ratios_with_intervals(make_record):
    slow, fast = make_record("slow", latency_ns=400_000.0), make_record("fast", latency_ns=200_000.0)
    comparison = compare([slow], [fast])
    item = ratio_of(comparison, "latency_p50_ns")
    expected = fast.quantities["latency_p50_ns"].value / slow.quantities["latency_p50_ns"].value
    assert item.ratio == pytest.approx(expected)
    own = np.exp(np.hypot(np.log(1.01), np.log(1 / 0.99)))
    assert own <= item.high / item.ratio < own + 0.01, "and what the dense network beside them differs by"
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


def test_a_submission_is_compared_by_its_newest_record_whatever_its_verdict(make_record):
    """The criterion was broken after a valid run: the old figures must not stand for it."""
    good = make_record("magnitude", accuracy=0.9913, run="before", created="2026-03-01T10:00:00+00:00")
    broken = make_record(
        "magnitude", accuracy=0.101, verdict="invalid", run="after", created="2026-03-01T11:00:00+00:00"
    )
    pair = compare([broken, good], [good]).pairs[0]
    assert pair.a.records == (broken,) and pair.accuracy.a == 0.101 and pair.accuracy.b == 0.9913
    assert pair.a.left_out == ((good, "older"),)


def test_intervals_carry_the_spread_between_seeds_and_repeats(make_record):
    single = [make_record("a", accuracy=0.92)]
    for field in ("seed", "repeat"):
        sides = [
            make_record("b", accuracy=accuracy, latency_ns=us * 1e3, **{field: n})
            for n, (accuracy, us) in enumerate(((0.90, 300), (0.91, 400), (0.92, 900)))
        ]
        comparison = compare(single, sides)
        item = ratio_of(comparison, "latency_p50_ns")
        assert item.b == sides[1].quantities["latency_p50_ns"].value and (comparison.a[:2], comparison.b) == ("a ", "b")
        assert item.low < item.ratio * 300 / 400 and item.high > item.ratio * 900 / 400, "one record's own was 1 %"
        assert comparison.pairs[0].accuracy.high - comparison.pairs[0].accuracy.delta > 0.02
        sizes = ratio_of(comparison, "weights_bytes")
        assert sizes.low is None, "of one record alone nothing is known of the spread"


def test_a_latency_carries_how_the_machine_changed_between_the_minutes(make_record):
    """The same network, once on a machine at half its speed: its dense reference tells."""

    def measured(ns, created):
        quantities = {
            "latency_p50_ns": Quantity(ns, "ns", "measured", "x", 0.999 * ns, 1.001 * ns),
            "speedup_vs_dense": Quantity(1.5, "×", "measured", "x", 1.49, 1.51),
        }
        return make_record(quantities=quantities, created=created)

    pair = compare([measured(1e5, "2026-01-01T00:00:00Z")], [measured(2e5, "2026-01-02T00:00:00Z")]).pairs[0]
    latency, speedup = pair.ratios
    assert pair.drift == pytest.approx(2) and latency.ratio == 2
    assert latency.low < 1 and latency.better is None, "it is not slower: the machine was"
    assert speedup.ratio == 1 and speedup.low > 0.98


def test_speeds_of_an_older_methodology_are_refused_and_the_rest_is_compared(make_record):
    pair = compare([make_record("a", methodology=1)], [make_record("b")]).pairs[0]
    compared = {item.name for item in pair.ratios}
    assert {"weights_removed_fraction", "compression_ratio", "macs_effective"} <= compared and pair.accuracy
    assert not {name for name in compared if name.startswith(("latency", "throughput", "speedup"))}
    assert "old export" in pair.refused["speedup_vs_dense"] and "3.7 times" in pair.refused["latency_p50_ns"]
    both_old = compare([make_record("a", methodology=1)], [make_record("b", methodology=1)])
    assert ratio_of(both_old, "speedup_vs_dense").low is not None
    assert ratio_of(both_old, "latency_p50_ns").low is None, "it left out how rounds differ"
    simulated = compare([make_record("a", "eie", methodology=1)], [make_record("b", "eie")])
    assert ratio_of(simulated, "speedup_vs_dense").ratio == 1


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


def test_an_empty_side_is_refused(make_record):
    with pytest.raises(UsageError, match=r"first side .* empty"):
        compare([], [make_record()])


def test_a_record_without_figures_is_shown_with_its_failure(make_record):
    pair = compare([make_record("a")], [make_record("b", verdict="error")]).pairs[0]
    assert pair.accuracy is None and pair.ratios == ()
    assert pair.refused["latency_p50_ns"] == "b lacks it: its record is error, target_failed."
