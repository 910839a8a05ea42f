"""Compressed sparse row: the non-zeros row by row, each with its column, and where each row starts."""

from __future__ import annotations

import numpy as np

from hw_targets.formats.encoded import Encoded, checked, index_width, value_width


def encode(matrix: np.ndarray) -> Encoded:
    """Store the non-zeros of `[rows, columns]`, their columns, and `rows + 1` pointers.

    Raises:
        ValueError: see `encoded.checked`.
    """
    matrix = checked(matrix)
    row, column = np.nonzero(matrix)
    pointers = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=matrix.shape[0]))]).astype(np.int64)
    widths = {"columns": index_width(matrix.shape[1]), "pointers": index_width(row.size + 1)}
    return Encoded(matrix.shape, matrix[row, column], {"columns": column, "pointers": pointers}, widths)


def decode(encoded: Encoded) -> np.ndarray:
    """The matrix `[rows, columns]`."""
    matrix = np.zeros(encoded.shape, encoded.values.dtype)
    row = np.repeat(np.arange(encoded.shape[0]), np.diff(encoded.indexes["pointers"]))
    matrix[row, encoded.indexes["columns"]] = encoded.values
    return matrix


def size_bits(matrix: np.ndarray, value_bits: int | None = None) -> int:
    """n·(value bits + ⌈log2 columns⌉) + (rows + 1)·⌈log2 (n + 1)⌉ for n non-zeros."""
    rows, columns = map(int, matrix.shape)
    n = int(np.count_nonzero(matrix))
    return n * (value_width(matrix, value_bits) + index_width(columns)) + (rows + 1) * index_width(n + 1)
