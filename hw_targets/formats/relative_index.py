"""EIE's relative indexes (Han et al. 2016, arXiv 1602.01528, section III.B).

Column by column, each entry is a value v and the number z of zeros before it since the last entry
of its column. z has 4 bits: where more than 15 zeros lie in between, a zero is stored as a value
of its own, with z = 15, and the count goes on from there. Zeros after a column's last non-zero
are not stored. A pointer tells where each column starts. This is the layout of one processing
element; the paper's codebook comes in through the bits a value takes.
"""

from __future__ import annotations

import numpy as np

from hw_targets.formats.encoded import Encoded, checked, index_width, value_width

INDEX_BITS = 4


def encode(matrix: np.ndarray, index_bits: int = INDEX_BITS) -> Encoded:
    """Store `[rows, columns]` as values `v`, relative indexes `z` and `columns + 1` pointers.

    Raises:
        ValueError: see `encoded.checked`.
    """
    matrix = checked(matrix)
    column, row, gap = _gaps(matrix)
    span = 1 << index_bits  # rows that a padding entry covers: span − 1 zeros and itself
    padding = gap // span
    last = np.cumsum(padding + 1) - 1  # where each non-zero goes, after its padding
    entries = int(last[-1]) + 1 if last.size else 0
    values = np.zeros(entries, matrix.dtype)
    z = np.full(entries, span - 1, np.int64)
    values[last] = matrix[row, column]
    z[last] = gap % span
    per_column = np.bincount(column, weights=padding + 1, minlength=matrix.shape[1]).astype(np.int64)
    pointers = np.concatenate([[0], np.cumsum(per_column)]).astype(np.int64)
    widths = {"z": index_bits, "pointers": index_width(entries + 1)}
    return Encoded(matrix.shape, values, {"z": z, "pointers": pointers}, widths)


def decode(encoded: Encoded) -> np.ndarray:
    """The matrix `[rows, columns]`."""
    matrix = np.zeros(encoded.shape, encoded.values.dtype)
    pointers = encoded.indexes["pointers"]
    lengths = np.diff(pointers)
    column = np.repeat(np.arange(encoded.shape[1]), lengths)
    steps = np.cumsum(encoded.indexes["z"] + 1)
    before = np.concatenate([[0], steps])[pointers[:-1]]
    row = steps - np.repeat(before, lengths) - 1
    matrix[row, column] = encoded.values
    return matrix


def size_bits(matrix: np.ndarray, value_bits: int | None = None, index_bits: int = INDEX_BITS) -> int:
    """e·(value bits + index bits) + (columns + 1)·⌈log2 (e + 1)⌉ for e entries, padding included."""
    column, _, gap = _gaps(matrix)
    entries = column.size + int((gap >> index_bits).sum())
    pointers = (int(matrix.shape[1]) + 1) * index_width(entries + 1)
    return entries * (value_width(matrix, value_bits) + index_bits) + pointers


def _gaps(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column and row of each non-zero, column by column, and the zeros before it in its column."""
    column, row = np.nonzero(matrix.T)
    previous = np.concatenate([[-1], row[:-1]])[: row.size]
    first = np.concatenate([[True], column[1:] != column[:-1]])[: row.size]
    return column, row, row - np.where(first, -1, previous) - 1
