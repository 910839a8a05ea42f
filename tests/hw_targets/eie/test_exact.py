"""Products in pieces of 8 bits are those of Python's integers, on every machine and at every extreme."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hw_targets.eie import exact, multiplying
from hw_targets.eie.exact import ByteMatrix, WholeMatrix, exact_matrix
from hw_targets.eie.fixed_point import FixedPoint
from hw_targets.eie.multiplying import Numbers, convolve, convolve_groups, multiply_vectors

GREATEST = (1 << 15) - 1
WIDE = FixedPoint(16, 0)


@pytest.fixture(params=["bytes", "floats"])
def kernels(request, monkeypatch):
    """Either kernel, whatever this processor has."""
    if request.param == "bytes" and not exact.bytes_are_exact():
        pytest.skip("this processor's kernel for bytes saturates")
    monkeypatch.setattr(exact, "bytes_are_exact", lambda: request.param == "bytes")
    return {"bytes": ByteMatrix, "floats": WholeMatrix}[request.param]


def whole(seed: int, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Whole numbers of 16 bits: all of them, their extremes only, bytes, or multiples of one number."""
    rng = np.random.default_rng(seed)
    if kind == "extremes":
        return rng.choice(
            [-GREATEST - 1, -GREATEST, -32640, -129, -128, -1, 0, 127, 128, 32639, 32640, GREATEST], shape
        )
    if kind == "greatest":
        return np.full(shape, GREATEST)
    if kind == "least":
        return np.full(shape, -GREATEST - 1)
    if kind == "multiples":
        return rng.integers(-2, 3, shape) * 10_923
    bits = {"bytes": 7, "any": 15}[kind]
    return rng.integers(-(1 << bits), 1 << bits, shape)


KINDS = st.sampled_from(["any", "extremes", "greatest", "least", "bytes", "multiples"])


def exact_sums(weight: np.ndarray, codes: np.ndarray, kernels: type, bits: int = 16) -> np.ndarray:
    """By a matrix of the code under test, its pieces put together as integers."""
    matrix = exact_matrix(weight.astype(np.float64), bits)
    assert isinstance(matrix, kernels)
    rows = multiplying._encode_rows(matrix, codes.astype(np.float32), FixedPoint(bits, 0))
    sums = matrix.multiply(rows).astype(object)
    scales = matrix.scales.astype(object)[:, None, :, None]
    return (sums * scales).sum((0, 2)) + matrix.correction.astype(np.int64).astype(object)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 700),
    st.integers(1, 40),
    st.sampled_from([4, 8, 9, 16]),
    KINDS,
    KINDS,
    st.integers(0, 99),
)
def test_sums_are_those_of_integers(n, columns, outputs, bits, of_weight, of_codes, seed):
    weight, codes = whole(seed, (outputs, columns), of_weight), whole(seed + 1, (n, columns), of_codes)
    saturated = np.clip(codes, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    expected = saturated.astype(np.int64) @ weight.T.astype(np.int64)
    kernels = ByteMatrix if exact.bytes_are_exact() else WholeMatrix
    assert (exact_sums(weight, codes, kernels, bits) == expected).all()


@pytest.mark.parametrize("kind", ["any", "extremes", "greatest", "least", "multiples"])
def test_both_kernels_sum_the_longest_rows_exactly(kernels, kind):
    weight, codes = whole(0, (3, 25_088), kind), whole(1, (2, 25_088), "extremes")
    assert (exact_sums(weight, codes, kernels) == codes.astype(np.int64) @ weight.T.astype(np.int64)).all()


def test_fewer_bits_take_fewer_pieces():
    if not exact.bytes_are_exact():
        pytest.skip("this processor's kernel for bytes saturates")
    pieces = {
        kind: exact_matrix(whole(0, (4, 30), kind), 16).scales.shape[1]
        for kind in ("bytes", "multiples", "any", "greatest")
    }
    assert pieces == {"bytes": 1, "multiples": 1, "any": 2, "greatest": 1}
    assert exact_matrix(np.array([[GREATEST, 1, -GREATEST]]), 16).scales.shape == (2, 3)
    assert exact_matrix(np.array([[GREATEST, 1, -GREATEST]]), 8).planes == 1


def test_sums_that_32_bits_might_not_hold_are_left_to_floats():
    long = np.tile(np.array([[-128, 127]]), (1, 40_000))
    assert isinstance(exact_matrix(long, 16), WholeMatrix)
    assert isinstance(exact_matrix(np.zeros((0, 3)), 16), WholeMatrix)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_convolutions_are_those_of_integers(data):
    """Any geometry, against torch in float64, and rounded once at the end."""
    draw = data.draw
    groups, depth, width = draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 5))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride, dilation = (draw(st.tuples(st.integers(1, 2), st.integers(1, 2))) for _ in range(2))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    weight = whole(draw(st.integers(0, 9)), (groups * width, depth, *kernel), draw(KINDS)).astype(np.float64)
    codes = whole(1, (draw(st.integers(1, 3)), groups * depth, 6, 7), draw(KINDS))
    bias = whole(2, (groups * width,), "any").astype(np.float64) * (1 << 20)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    numbers = Numbers(FixedPoint(16, 3), FixedPoint(16, -14), 0, bias)
    values = codes.astype(np.float32) / 8
    if groups > 1:
        written, greatest = convolve_groups(weight, values, numbers, **geometry)
    else:
        matrix = exact_matrix(weight.transpose(0, 2, 3, 1).reshape(len(weight), -1), 16)
        written, greatest = convolve(matrix, values, numbers, kernel, **geometry)
    import torch

    top, left, bottom, right = padding
    padded = nn.functional.pad(torch.from_numpy(codes.astype(np.float64)), (left, right, top, bottom))
    sums = nn.functional.conv2d(
        padded, torch.from_numpy(weight), torch.from_numpy(bias), stride, 0, dilation, groups
    ).numpy()
    assert greatest == np.abs(sums).max(initial=0)
    expected = numbers.writes.decode(numbers.writes.write_back(sums, 0)).astype(np.float32)
    np.testing.assert_array_equal(written, expected)


def test_a_batch_in_parts_is_the_batch_as_a_whole(kernels, monkeypatch):
    weight, codes = whole(0, (5, 33), "any"), whole(1, (101, 33), "any")
    numbers = Numbers(WIDE, FixedPoint(16, -20), 0, np.zeros(5))
    matrix = exact_matrix(weight, 16)
    at_once = multiply_vectors(matrix, codes.astype(np.float32), numbers)
    monkeypatch.setattr(multiplying, "PART_BYTES", 1 << 9)
    monkeypatch.setattr(multiplying, "available_cores", lambda: 3)
    in_parts = multiply_vectors(matrix, codes.astype(np.float32), numbers)
    np.testing.assert_array_equal(at_once[0], in_parts[0])
    assert at_once[1] == in_parts[1] == np.abs(codes @ weight.T).max()
