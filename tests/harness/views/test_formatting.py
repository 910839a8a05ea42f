"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.views import formatting
from hw_targets.target import Quantity

FACTORS = {unit: factor for kind in ("ns", "pj", "bytes") for factor, unit in formatting.LADDERS[kind]}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("latency_p50_ns", 410_000.0, "410 µs"),
        ("latency_p50_ns", 999.96, "1.00 µs"),
        ("latency_p50_ns", 999_400.0, "999 µs"),
        ("latency_p50_ns", 2.5e9, "2.50 s"),
        ("latency_p50_ns", 0.0, "0 ns"),
        ("weights_bytes", 1_089_896.0, "1.04 MiB"),
        ("weights_bytes", 1023.0, "1,023 B"),
        ("energy_per_inference_pj", 13_900_000.0, "13.9 µJ"),
        ("energy_per_inference_pj", 2e9, "2.00 mJ"),
        ("weights_removed_fraction", 0.7, "70.0 %"),
        ("compression_ratio", 3.1, "3.10×"),
        ("speedup_vs_dense", 12.345, "12.3×"),
        ("macs_dense", 40_551_040.0, "40.6 M"),
        ("parameters", 272_474.0, "272 k"),
        ("throughput_samples_per_s", 3414.6, "3.41 k/s"),
    ],
)
def test_worked_examples(name, value, shown):
    assert formatting.value_of(name, value) == shown


def test_an_unknown_quantity_keeps_its_own_unit():
    assert formatting.value_of("queue_depth", 7.0, "entries") == "7.00 entries"
    assert formatting.value_of("stall", 1500.0, "ns") == "1.50 µs"
    assert formatting.value_of("weights_bytes_dense", 2048.0, "bytes") == "2.00 KiB"


def test_counts_and_titles_of_quantities_that_are_new():
    assert formatting.value_of("numbers_unattributed", 12.0, "1") == "12"
    assert formatting.value_of("weights_kept", 5950.0, "1") == "5.95 k"
    assert formatting.title("macs_in_integers_fraction") == "MACs in integers"
    assert formatting.title("weights_foo_bytes") == "Weights foo"


def test_accuracies_and_differences():
    assert formatting.percent(0.91872, 2) == "91.87 %"
    assert formatting.points(-0.0038, -0.0069, -0.0007) == "-0.38 pp [-0.69, -0.07]"


def test_intervals():
    assert formatting.interval("a_ns", Quantity(1, "ns", "measured", "x", 400_000, 420_000)) == "400 µs to 420 µs"
    assert formatting.interval("a_ns", Quantity(1, "ns", "measured", "x")) == formatting.ABSENT


@given(st.floats(0.01, 1e13), st.sampled_from(["x_ns", "x_pj", "x_bytes"]))
def test_what_is_shown_is_the_value_to_three_digits(value, name):
    digits, unit = formatting.value_of(name, value).split(" ")
    shown = float(digits.replace(",", "")) * FACTORS[unit]
    assert shown == pytest.approx(value, rel=0.0051)
    assert len(digits.replace(",", "").replace(".", "").lstrip("0")) <= 4 or unit in ("s", "J", "GiB")
