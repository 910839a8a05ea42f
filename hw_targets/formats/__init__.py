"""How sparse weights are stored: one file a format."""

from __future__ import annotations

import numpy as np

from hw_targets.formats import bitmap, csc, csr, dense, relative_index
from hw_targets.formats.encoded import Encoded, checked

FORMATS = {
    "dense": dense,
    "bitmap": bitmap,
    "csr": csr,
    "csc": csc,
    "relative_index": relative_index,
}

__all__ = ["FORMATS", "Encoded", "as_matrix", "smallest_encoding"]


def as_matrix(weight: np.ndarray) -> np.ndarray:
    """A weight `[out, …]` as the matrix `[out, rest]`."""
    return weight.reshape(weight.shape[0], int(np.prod(weight.shape[1:])))


def smallest_encoding(weight: np.ndarray, value_bits: int | None = None) -> tuple[str, int]:
    """The format that stores `weight` `[out, …]` in the fewest bits, and how many; the first in a tie.

    Args:
        value_bits: of one stored value, where a codebook or a scale makes it smaller than its type.

    Raises:
        ValueError: see `encoded.checked`.
    """
    matrix = checked(as_matrix(weight))
    sizes = {name: module.size_bits(matrix, value_bits) for name, module in FORMATS.items()}
    best = min(sizes, key=lambda name: sizes[name])
    return best, sizes[best]
