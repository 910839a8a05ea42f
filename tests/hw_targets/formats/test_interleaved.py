from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_matrices import matrices

from hw_targets.formats import interleaved


@settings(max_examples=60, deadline=None)
@given(
    matrix=matrices(),
    pe_count=st.integers(1, 9),
    index_bits=st.integers(1, 5),
    value_bits=st.sampled_from([None, 4]),
)
def test_decode_inverts_encode_and_size_agrees(matrix, pe_count, index_bits, value_bits):
    encoded = interleaved.encode(matrix, pe_count, index_bits)
    decoded = interleaved.decode(encoded)
    np.testing.assert_array_equal(decoded, matrix)
    assert decoded.dtype == matrix.dtype
    assert encoded.zeros.max(initial=0) < 2**index_bits
    assert encoded.padding == encoded.values.size - np.count_nonzero(matrix)
    bits = value_bits or matrix.dtype.itemsize * 8
    pointers = pe_count * (matrix.shape[1] + 1) * 16
    size = interleaved.size_bits(matrix, value_bits, pe_count, index_bits, pointer_bits=16)
    assert size == encoded.values.size * (bits + index_bits) + pointers


def test_figure_3_of_the_eie_paper():
    """The memory of the first of four elements, for the matrix of figure 2."""
    matrix = np.zeros((16, 8), np.float32)
    for place in "0,0 8,0 12,0 4,1 0,2 12,2 0,4 4,4 0,5 12,5 0,6 8,7 12,7".split():
        row, column = map(int, place.split(","))
        matrix[row, column] = 1
    lines = [line.split() for line in interleaved.encode(matrix, pe_count=4).memory(0).splitlines()]
    assert lines[0][2:] == "W0,0 W8,0 W12,0 W4,1 W0,2 W12,2 W0,4 W4,4 W0,5 W12,5 W0,6 W8,7 W12,7".split()
    assert lines[1][3:] == "0 1 0 1 0 2 0 0 0 2 0 2 0".split()
    assert lines[2][2:] == "0 3 4 6 6 8 10 11 13".split()


def test_padding_is_shown_in_an_elements_memory():
    column = np.zeros((40, 1))
    column[38] = 5
    shown = interleaved.encode(column, pe_count=2).memory(0).splitlines()
    assert shown[0].split() == ["virtual", "weight", "0", "W38,0"]
    assert shown[1].split()[-2:] == ["15", "3"]


@pytest.mark.parametrize("wrong", [{"pe_count": 0}, {"index_bits": 0}])
def test_bad_machines_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        interleaved.count_entries(np.ones((2, 2)), **{"pe_count": 1, "index_bits": 4, **wrong})
