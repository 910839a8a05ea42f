"""What is called above must be above by more than its margin."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.comparing import difference, expected_above, mean_of, percent

accuracies = st.dictionaries(st.integers(0, 5), st.floats(0, 1), min_size=1)


def test_the_margin_of_three_seeds_is_students():
    """Differences 0.01, 0.02, 0.03: mean 0.02, standard deviation 0.01, t of two degrees of freedom 4.3027."""
    found = difference({0: 0.91, 1: 0.92, 2: 0.93}, {0: 0.90, 1: 0.90, 2: 0.90}, 10_000)
    assert found.mean == pytest.approx(0.02)
    assert found.margin == pytest.approx(4.302653 * 0.01 / math.sqrt(3), rel=1e-5)
    assert not found.told_apart


def test_the_margin_of_one_seed_is_that_of_the_test_set():
    found = difference({0: 0.9}, {0: 0.9}, 10_000)
    assert found.margin == pytest.approx(1.96 * math.sqrt(2 * 0.9 * 0.1 / 10_000))


def test_seeds_that_change_nothing_are_no_evidence():
    same = dict.fromkeys(range(3), 0.9)
    found = difference(same, dict.fromkeys(range(3), 0.8998), 10_000)
    assert found.margin == pytest.approx(difference({0: 0.9}, {0: 0.8998}, 10_000).margin) and not found.told_apart


def test_only_seeds_of_both_are_compared():
    found = difference({0: 0.9, 1: 0.1}, {0: 0.8, 2: 1.0}, 100)
    assert (found.seeds, found.mean_a, found.mean_b) == (1, 0.9, 0.8)
    assert difference({0: 0.9}, {1: 0.9}, 100) is None
    assert expected_above("a", {}, "b", {0: 0.5}, "here", 100) is None


@given(accuracies, accuracies)
def test_a_comparison_turned_round_says_the_opposite(a, b):
    one, other = difference(a, b, 1000), difference(b, a, 1000)
    if one is None:
        assert other is None
    else:
        assert one.mean == -other.mean
        assert one.margin == pytest.approx(other.margin)
        assert one.margin >= 0


def test_sentences_follow_the_numbers():
    high, low = {0: 0.95, 1: 0.951, 2: 0.949}, {0: 0.90, 1: 0.901, 2: 0.899}
    above = expected_above("a", high, "b", low, "at 90%", 10_000)
    assert above.startswith("a is above b at 90%: 95.00 % vs 90.00 % (3 seeds, difference +5.00 ± ")
    below = expected_above("a", low, "b", high, "at 90%", 10_000)
    assert "a is below b at 90%, against the expected order" in below
    noisy = {0: 0.95, 1: 0.85, 2: 0.96}
    assert "cannot be told apart" in expected_above("a", noisy, "b", low, "at 90%", 10_000)
    assert "(1 seed, " in expected_above("a", {0: 0.99}, "b", {0: 0.5}, "", 10_000)


def test_means():
    values = {0: 0.25, 1: 0.75}
    assert mean_of(values) == statistics.fmean(values.values())
    assert math.isnan(mean_of({}))
    assert percent(0.979) == "97.90 %"
