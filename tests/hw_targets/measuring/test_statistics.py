from __future__ import annotations

import math

import numpy as np
import pytest

from hw_targets.measuring.statistics import block_mean, block_quantile, look_confidence, quantile, robust_ratio, thin


def test_a_quantile_by_hand():
    # P(B = 0) = P(B = n) = 2⁻ⁿ for the median: 2⁻⁶ < 0.025 < 2⁻⁵.
    of = quantile([5, 1, 4, 2, 3, 6], 0.5)
    assert (of.value, of.low, of.high) == (3, 1, 6)
    assert quantile([1, 2, 3, 4, 5], 0.5).low is None
    # P(B ≤ 1) = 11/1024 ≤ 0.025 < P(B ≤ 2) = 56/1024.
    assert (quantile(range(1, 11), 0.5).low, quantile(range(1, 11), 0.5).high) == (2, 9)
    assert quantile(range(1, 101), 0.9).value == 90
    with pytest.raises(ValueError, match="needs values"):
        quantile([], 0.5)
    with pytest.raises(ValueError, match="p = 1"):
        quantile([1.0], 1)


def test_all_looks_together_err_no_more_than_they_may():
    errors = [1 - look_confidence(look) for look in [None, *range(1, 2000)]]
    assert 0.0499 < sum(errors) <= 0.05
    with pytest.raises(ValueError, match="from 1"):
        look_confidence(0)


def test_a_mean_over_blocks_by_hand():
    of = block_mean(np.exp([0.1, -0.1, 0.0]))
    # Deviations 0.1, −0.1, 0: r = −0.5, taken for chance after + 1/3; s = 0.1; t₂(0.975) = 4.3027.
    assert of.value == pytest.approx(1)
    assert math.log1p(of.half_width()) == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-4)
    assert block_mean([1.0, 2.0]).low is None and block_mean([1.0, 2.0]).half_width() == math.inf
    with pytest.raises(ValueError, match="positive"):
        block_mean([1.0, 0.0, 2.0])


def test_equal_blocks_leave_no_doubt_and_different_ones_a_wide_interval():
    same = block_quantile([np.arange(1.0, 1001)] * 8, 0.5)
    assert 1.06 > same.high / same.low > 1  # of 8,000 independent values
    apart = block_quantile([np.arange(1.0, 1001) * (1 + 0.46 * (i % 2)) for i in range(8)], 0.5)
    assert apart.low <= apart.value <= apart.high and apart.high / apart.low > 1.3
    assert block_quantile([[1.0, 2.0]] * 8, 0.99).high is None  # 16 values do not bound it
    with pytest.raises(ValueError, match="values in each"):
        block_quantile([[1.0], []], 0.5)


def test_a_robust_ratio_is_the_mean_of_near_ones_and_heeds_only_the_side_of_far_ones():
    near = [np.exp([-0.01, 0.0, 0.01])] * 4
    assert robust_ratio(near).value == pytest.approx(1)
    assert robust_ratio([np.exp([0.0, 0.02, 0.01])] * 4).value == pytest.approx(math.exp(0.01))
    far = [np.append(block, [50.0, 0.1]) for block in near]
    assert robust_ratio(far).value == pytest.approx(1)
    one_sided = robust_ratio([np.append(block, 1e6) for block in near])
    assert 1 < one_sided.value < 1.02
    with pytest.raises(ValueError, match="needs blocks"):
        robust_ratio([])


# Each makes [blocks, values] of a truth of 1: nearly independent values, a level for each block, values
# that hang together, and two kinds of noise in turns, one of which is far worse.
def _still(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 0.01, (10, 20))


def _placed(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 0.002, (10, 20)) + rng.normal(0, 0.015, (10, 1))


def _correlated(rng: np.random.Generator) -> np.ndarray:
    values = np.zeros(400)
    for i in range(1, 400):
        values[i] = 0.9 * values[i - 1] + rng.normal(0, 0.01)
    return values.reshape(10, 40)


def _bursts(rng: np.random.Generator) -> np.ndarray:
    bad = np.cumsum(rng.random(200) < 0.1) % 2 == 1
    return np.where(bad, rng.laplace(0, 0.8, 200), rng.normal(0, 0.02, 200)).reshape(10, 20)


@pytest.mark.parametrize("make", [_still, _placed, _correlated, _bursts])
@pytest.mark.parametrize("estimate", [robust_ratio, lambda blocks: block_mean([np.median(b) for b in blocks])])
def test_intervals_hold_the_truth_as_often_as_they_say(make, estimate):
    rng = np.random.default_rng(3)
    found = [estimate(list(np.exp(make(rng)))) for _ in range(400)]
    assert np.mean([of.low <= 1 <= of.high for of in found]) >= 0.93


def test_bursts_do_not_widen_a_robust_interval_as_they_do_that_of_a_mean():
    rng = np.random.default_rng(4)
    series = [list(np.exp(_bursts(rng))) for _ in range(50)]
    robust, plain = (
        np.median([estimate(blocks).half_width() for blocks in series])
        for estimate in (robust_ratio, lambda blocks: block_mean([np.exp(np.mean(np.log(b))) for b in blocks]))
    )
    assert robust < plain / 3


def test_latency_quantiles_of_a_series_that_hangs_together_hold_the_truth():
    rng = np.random.default_rng(5)
    holds = []
    for _ in range(200):
        level = np.repeat(rng.normal(0, 0.1, 10), 300)  # one a block
        blocks = np.exp(level + rng.normal(0, 0.02, 3000)).reshape(10, 300)
        of = block_quantile(list(blocks), 0.5)
        holds.append(of.low <= 1 <= of.high)
    assert np.mean(holds) >= 0.93


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_coverage_on_a_known_distribution(p):
    rng = np.random.default_rng(7)
    truth = -np.log(1 - p)  # of the exponential distribution
    inside = [of.low <= truth <= of.high for of in (quantile(rng.exponential(size=700), p) for _ in range(400))]
    assert 0.93 <= np.mean(inside) <= 0.99


def test_thinning_keeps_order_and_ends():
    kept = thin(np.arange(1001), 101)
    np.testing.assert_array_equal(kept, np.arange(0, 1001, 10))
    assert thin(np.arange(5), 10).size == 5
