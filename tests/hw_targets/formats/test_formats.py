from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_matrices import matrices

from hw_targets.formats import FORMATS, relative_index, smallest_encoding


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None)
@given(matrix=matrices(), value_bits=st.sampled_from([None, 4, 7]))
def test_decode_inverts_encode_and_size_agrees(name, matrix, value_bits):
    module = FORMATS[name]
    encoded = module.encode(matrix)
    decoded = module.decode(encoded)
    np.testing.assert_array_equal(decoded, matrix)
    assert decoded.dtype == matrix.dtype
    assert encoded.size_bits(value_bits) == module.size_bits(matrix, value_bits)
    for index, array in encoded.indexes.items():
        assert array.size == 0 or 0 <= array.min() <= array.max() < 2 ** encoded.index_bits[index]


@pytest.mark.parametrize("name", FORMATS)
def test_negative_zero_counts_as_zero(name):
    matrix = np.array([[-0.0, 1.0]], np.float32)
    assert FORMATS[name].size_bits(matrix) == FORMATS[name].size_bits(np.abs(matrix))
    np.testing.assert_array_equal(FORMATS[name].decode(FORMATS[name].encode(matrix)), matrix)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("bad", [np.array([[np.nan]]), np.array([[np.inf]]), np.zeros(3), np.array([["a"]])])
def test_bad_matrices_are_refused(name, bad):
    with pytest.raises(ValueError, match=r"NaN|shape|type"):
        FORMATS[name].encode(bad)


def test_the_example_of_the_eie_paper():
    """[0,0,1,2,0 (18 times),3] is v = [1,2,0,3], z = [2,0,15,2] (section III.B)."""
    column = np.array([0, 0, 1, 2, *[0] * 18, 3], np.float32)[:, None]
    encoded = relative_index.encode(column)
    assert encoded.values.tolist() == [1, 2, 0, 3]
    assert encoded.indexes["z"].tolist() == [2, 0, 15, 2]
    assert encoded.size_bits() == 4 * (32 + 4) + 2 * 3


def test_the_smallest_of_a_worked_example():
    weight = np.zeros((8, 4, 2, 2), np.float32)  # [8, 16] as a matrix
    weight[0, 0, 0, 0] = 1
    # dense 4096; bitmap 32 + 128; csr 32 + 4 + 9·1; csc 32 + 3 + 17·1; relative 32 + 4 + 17·1
    assert smallest_encoding(weight) == ("csr", 45)
    assert smallest_encoding(np.ones((4, 4), np.float32)) == ("dense", 512)


def test_a_large_matrix_takes_seconds_at_most():
    matrix = np.random.default_rng(0).random((2048, 2048), np.float32)
    matrix[matrix < 0.9] = 0
    start = time.perf_counter()
    assert smallest_encoding(matrix)[0] == "bitmap"
    assert time.perf_counter() - start < 3
