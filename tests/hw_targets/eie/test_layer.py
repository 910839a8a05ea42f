from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integer_rounding import nearest

from hw_targets.eie import EieConfig, simulate_layer
from hw_targets.eie.codebook import code_weight
from hw_targets.eie.fixed_point import FixedPoint, format_for

RNG = np.random.default_rng(0)


def sparse(rows: int, columns: int, density: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < density)).astype(np.float32)


def test_output_equals_an_integer_reference_to_the_bit():
    weight, activations = sparse(70, 90, 0.3), np.maximum(RNG.normal(size=(5, 90)), 0)
    result = simulate_layer(weight, activations)
    coded = code_weight(weight, EieConfig())
    format = format_for(float(activations.max()), 16)
    codes = [[int(a) for a in vector] for vector in format.encode(activations)]
    table, fraction = coded.table.tolist(), coded.format.fraction + format.fraction
    sums = [[sum(table[c] * a for c, a in zip(row, v, strict=True)) for row in coded.codes.tolist()] for v in codes]
    greatest = max(abs(each) for vector in sums for each in vector)
    written = format_for(greatest * 2.0**-fraction, 16)
    shift = fraction - written.fraction
    for vector, expected in zip(result.output_codes.tolist(), sums, strict=True):
        for code, exact in zip(vector, expected, strict=True):
            assert code == nearest(exact, shift)
    np.testing.assert_array_equal(result.output, result.output_codes * 2.0**-written.fraction)


def test_a_vector_and_a_batch_agree():
    weight, activations = sparse(130, 64, 0.2), np.maximum(RNG.normal(size=(3, 64)), 0)
    batch = simulate_layer(weight, activations)
    assert batch.cycles.shape == (3,)
    for index, vector in enumerate(activations):
        one = simulate_layer(weight, vector)
        assert one.cycles == batch.cycles[index]
        assert one.energy_pj == {name: of[index] for name, of in batch.energy_pj.items()}
        assert one.load_balance_efficiency == batch.load_balance_efficiency[index] <= 1
        np.testing.assert_allclose(one.output, batch.output[index], atol=1e-3)
    relu = simulate_layer(weight, activations, relu=True)
    assert (relu.output >= 0).all() and (relu.output > 0).any()


def test_zero_activations_cost_nothing_and_all_zeros_only_the_pipeline():
    weight = sparse(64, 100, 0.5)
    some = np.zeros(100)
    assert simulate_layer(weight, some).cycles == EieConfig().pipeline_stages - 1
    some[7] = 1.0
    column = simulate_layer(weight, some)
    assert column.theoretical_cycles == np.count_nonzero(weight[:, 7]) / 64
    weight[:, 8:] = 0  # other columns are not looked at
    assert simulate_layer(weight, some).cycles == column.cycles


def test_alexnet_fc7_as_in_table_5():
    """A random mask at Table III's densities: 81,967 frames/s, 138,927 frames/J and 0.59 W, within 10 %."""
    rng = np.random.default_rng(0)
    weight = sparse(4096, 4096, 0.09)
    activations = rng.random(4096) * (rng.random(4096) < 0.353)
    result = simulate_layer(weight, activations)
    joules = sum(result.energy_pj.values()) * 1e-12
    assert 1 / result.time_s == pytest.approx(81_967, rel=0.10)
    assert 1 / joules == pytest.approx(138_927, rel=0.10)
    assert joules / result.time_s == pytest.approx(0.59, rel=0.10)


def test_a_queue_of_one_leaves_unbalanced_elements_idle_half_the_time_and_eight_recover():
    """Section VI; a random mask in which an element's columns are heavy or light by turns."""
    rng = np.random.default_rng(0)
    heavy = rng.random((64, 512)) < 0.5
    weight = (rng.random((64 * 16, 512)) < np.where(np.tile(heavy, (16, 1)), 0.4, 0.05)).astype(np.float32)
    busy = [
        simulate_layer(weight, np.ones(512), EieConfig(fifo_depth=depth)).load_balance_efficiency for depth in (1, 8)
    ]
    assert busy[0] == pytest.approx(0.5, abs=0.15)
    assert busy[1] > 0.8


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e6, 1e6), st.integers(4, 16), st.floats(1e-6, 1e6))
def test_fixed_point_rounds_to_the_nearest_and_saturates(value, bits, greatest):
    format = format_for(greatest, bits)
    assert format.decode(format.encode(np.array(greatest))) == pytest.approx(greatest, rel=2.0 ** (2 - bits))
    code = float(format.encode(np.array([value]))[0])
    assert code == int(code) and -format.greatest - 1 <= code <= format.greatest
    if abs(code) < format.greatest:
        assert abs(format.decode(np.array(code)) - value) <= 2.0 ** -(format.fraction + 1)


def test_write_back_rounds_once():
    assert FixedPoint(16, 0).write_back(np.array([5.0, 6.0, 7.0, 1e9, -1e9]), 2).tolist() == [1, 2, 2, 32767, -32768]


def test_an_entrys_own_sharing_is_kept_and_other_weights_are_clustered():
    shared = RNG.choice([0.0, *np.linspace(-0.5, 0.75, 15)], size=(20, 30))
    kept = code_weight(shared, EieConfig())
    assert kept.kept
    np.testing.assert_allclose(kept.values(), shared, atol=2.0**-16)
    clustered = code_weight(sparse(40, 50, 0.5), EieConfig())
    assert not clustered.kept and len(clustered.table) <= 16 and clustered.table[0] == 0
    np.testing.assert_array_equal(clustered.codes == 0, sparse(40, 50, 0.5) == 0)
    forced = code_weight(shared, EieConfig(sharing="cluster", codebook_bits=2))
    assert len(forced.table) == 4


WEIGHT, VECTOR = np.ones((4, 3), np.float32), np.ones(3)


@pytest.mark.parametrize(
    ("weight", "activations", "options", "message"),
    [
        (np.full((4, 3), np.nan), VECTOR, {}, "weight.*NaN"),
        (WEIGHT, np.array([1, np.inf, 1]), {}, "activations.*infinity"),
        (WEIGHT, np.ones(4), {}, r"multiplies vectors of 3.*shape \[4\]"),
        (WEIGHT, np.ones((0, 3)), {}, "not activations of shape"),
        (np.ones(3), VECTOR, {}, r"matrix \[out, in\]"),
        (np.array([["a"]]), VECTOR, {}, "real numbers"),
        (np.arange(1, 52).reshape(17, 3), VECTOR, {"sharing": "keep"}, "has 51 non-zero values.*keeps 15"),
        (
            np.ones((64, 8)),
            np.ones(8),
            {"overflow": "refuse", "weight_sram_bytes": 4, "pe_count": 1},
            "take 128 elements",
        ),
        (np.ones((2, 99)), np.ones(99), {"overflow": "refuse", "pointer_sram_bytes": 64}, "bytes of column pointers"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(weight, activations, options, message):
    with pytest.raises(ValueError, match=message):
        simulate_layer(weight, activations, EieConfig(**options))


@pytest.mark.parametrize(
    "wrong",
    [
        {"pe_count": 0},
        {"pe_count": 257},
        {"fifo_depth": 0},
        {"fifo_depth": 2.5},
        {"clock_hz": 0},
        {"sharing": "kep"},
        {"line_bits": 8, "codebook_bits": 8},
    ],
)
def test_impossible_machines_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must be|does not hold"):
        EieConfig(**wrong)


def test_a_layer_that_does_not_fit_is_reloaded_and_paid_for():
    config = EieConfig(weight_sram_bytes=64, pe_count=4)
    weight = np.ones((64, 32))
    result = simulate_layer(weight, np.ones(32), config)
    bits = 64 * 32 * 8 + 4 * 33 * 16
    assert result.reload_cycles == bits / 8 / config.dram_bytes_per_cycle
    assert result.energy_pj["dram"] == pytest.approx(bits * 640 / 32)
    assert result.time_s == (result.cycles + result.reload_cycles) / config.clock_hz
    assert simulate_layer(weight, np.ones(32)).energy_pj["dram"] == 0
