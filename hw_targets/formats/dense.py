"""Dense: every entry, row by row."""

from __future__ import annotations

import numpy as np

from hw_targets.formats.encoded import Encoded, checked, value_width


def encode(matrix: np.ndarray) -> Encoded:
    """Store all entries of `[rows, columns]`.

    Raises:
        ValueError: see `encoded.checked`.
    """
    matrix = checked(matrix)
    return Encoded(matrix.shape, matrix.reshape(-1).copy(), {}, {})


def decode(encoded: Encoded) -> np.ndarray:
    """The matrix `[rows, columns]`."""
    return encoded.values.reshape(encoded.shape).copy()


def size_bits(matrix: np.ndarray, value_bits: int | None = None) -> int:
    """rows · columns · value bits."""
    return matrix.size * value_width(matrix, value_bits)
