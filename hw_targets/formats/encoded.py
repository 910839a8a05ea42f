"""What all formats share: a matrix in few parts, and how wide an index has to be.

A format is a module with `encode`, `decode` and `size_bits`. Formats are lossless: `decode` gives
back an array that equals the matrix, with its type. (−0.0 equals 0.0 and is not stored: masks
that are multiplied in leave it behind.) Sizes count what hardware would store: values, indexes of
just as many bits as their range needs, and pointers; shapes and types are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Encoded:
    """An encoded matrix.

    Attributes:
        values: the stored entries, in the matrix's type.
        indexes: the integer arrays beside them, by name.
        index_bits: bits of one element of each of `indexes`.
    """

    shape: tuple[int, int]
    values: np.ndarray
    indexes: Mapping[str, np.ndarray]
    index_bits: Mapping[str, int]

    def size_bits(self, value_bits: int | None = None) -> int:
        """Size in bits, with `value_bits` for a value (default: those of its type)."""
        bits = value_bits if value_bits is not None else self.values.dtype.itemsize * 8
        return self.values.size * bits + sum(self.index_bits[name] * array.size for name, array in self.indexes.items())


def checked(matrix: np.ndarray) -> np.ndarray:
    """The matrix, if it can be encoded.

    Raises:
        ValueError: not two-dimensional, not numeric, or with NaN or infinity in it.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2:
        raise ValueError(f"A format encodes a matrix [rows, columns]; this array has shape {list(matrix.shape)}.")
    if matrix.dtype.kind not in "iuf":
        raise ValueError(f"A format encodes integers or floats; this matrix is of type {matrix.dtype}.")
    if matrix.dtype.kind == "f" and not np.isfinite(matrix).all():
        raise ValueError("The matrix has NaN or infinity in it; weights must be finite to be encoded.")
    return matrix


def value_width(matrix: np.ndarray, value_bits: int | None) -> int:
    """`value_bits`, or the bits of the matrix's type."""
    return value_bits if value_bits is not None else matrix.dtype.itemsize * 8


def index_width(choices: int) -> int:
    """Bits that tell `choices` possibilities apart: ⌈log2 choices⌉, and 0 where there is no choice."""
    return max(choices - 1, 0).bit_length()
