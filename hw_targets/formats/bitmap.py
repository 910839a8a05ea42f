"""Bitmap: one bit an entry says whether it is non-zero; the non-zeros follow row by row."""

from __future__ import annotations

import numpy as np

from hw_targets.formats.encoded import Encoded, checked, value_width


def encode(matrix: np.ndarray) -> Encoded:
    """Store the non-zeros of `[rows, columns]` and a bit for every entry.

    Raises:
        ValueError: see `encoded.checked`.
    """
    matrix = checked(matrix)
    occupied = matrix != 0
    return Encoded(matrix.shape, matrix[occupied], {"occupied": occupied.reshape(-1)}, {"occupied": 1})


def decode(encoded: Encoded) -> np.ndarray:
    """The matrix `[rows, columns]`."""
    matrix = np.zeros(encoded.shape, encoded.values.dtype)
    matrix[encoded.indexes["occupied"].reshape(encoded.shape)] = encoded.values
    return matrix


def size_bits(matrix: np.ndarray, value_bits: int | None = None) -> int:
    """n·(value bits) + rows·columns for n non-zeros."""
    return int(np.count_nonzero(matrix)) * value_width(matrix, value_bits) + matrix.size
