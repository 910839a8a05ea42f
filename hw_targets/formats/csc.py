"""Compressed sparse column: compressed sparse row of the transposed matrix."""

from __future__ import annotations

import numpy as np

from hw_targets.formats import csr
from hw_targets.formats.encoded import Encoded, checked


def encode(matrix: np.ndarray) -> Encoded:
    """Store the non-zeros of `[rows, columns]` column by column, their rows, and `columns + 1` pointers.

    Raises:
        ValueError: see `encoded.checked`.
    """
    matrix = checked(matrix)
    of = csr.encode(matrix.T)
    indexes = {"rows": of.indexes["columns"], "pointers": of.indexes["pointers"]}
    widths = {"rows": of.index_bits["columns"], "pointers": of.index_bits["pointers"]}
    return Encoded(matrix.shape, of.values, indexes, widths)


def decode(encoded: Encoded) -> np.ndarray:
    """The matrix `[rows, columns]`."""
    matrix = np.zeros(encoded.shape, encoded.values.dtype)
    column = np.repeat(np.arange(encoded.shape[1]), np.diff(encoded.indexes["pointers"]))
    matrix[encoded.indexes["rows"], column] = encoded.values
    return matrix


def size_bits(matrix: np.ndarray, value_bits: int | None = None) -> int:
    """n·(value bits + ⌈log2 rows⌉) + (columns + 1)·⌈log2 (n + 1)⌉ for n non-zeros."""
    return csr.size_bits(matrix.T, value_bits)
