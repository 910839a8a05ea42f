from __future__ import annotations

import numpy as np
import pytest

from hw_targets.statistics import interval_ranks, median_interval, quantile, thin


def test_ranks_by_hand():
    # P(B = 0) = P(B = n) = 2⁻ⁿ for the median: 2⁻⁶ < 0.025 < 2⁻⁵.
    assert interval_ranks(6, 0.5) == (1, 6)
    assert interval_ranks(5, 0.5) is None
    # P(B ≤ 1) = 11/1024 ≤ 0.025 < P(B ≤ 2) = 56/1024.
    assert interval_ranks(10, 0.5) == (2, 9)


def test_point_estimates():
    of = quantile([5, 1, 4, 2, 3, 6], 0.5)
    assert (of.value, of.low, of.high) == (3, 1, 6)
    assert median_interval([1, 2, 3, 10]).value == 2.5
    assert median_interval([1, 2]).low is None
    assert quantile(range(1, 101), 0.9).value == 90


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_coverage_on_a_known_distribution(p):
    rng = np.random.default_rng(7)
    truth = -np.log(1 - p)  # of the exponential distribution
    inside = [of.low <= truth <= of.high for of in (quantile(rng.exponential(size=700), p) for _ in range(1500))]
    assert 0.94 <= np.mean(inside) <= 0.985


def test_a_million_samples_and_bad_arguments():
    low, high = interval_ranks(1_000_000, 0.99)
    assert (low, high) == pytest.approx((990_000 - 195, 990_000 + 195), abs=3)  # 1.96·√(n·p·(1 − p))
    with pytest.raises(ValueError, match="needs values"):
        quantile([], 0.5)
    with pytest.raises(ValueError, match="p = 1"):
        quantile([1.0], 1)


def test_thinning_keeps_order_and_ends():
    kept = thin(np.arange(1001), 101)
    np.testing.assert_array_equal(kept, np.arange(0, 1001, 10))
    assert thin(np.arange(5), 10).size == 5
