"""Transposed convolutions: each input pixel times the whole kernel of its channel."""

from __future__ import annotations

import numpy as np


def as_convolution(weight: np.ndarray, groups: int) -> np.ndarray:
    """A weight `[c_i, c_o / groups, k_h, k_w]` with its output channels first: `[c_o, c_i / groups, k_h, k_w]`."""
    c_i, c_o, *kernel = weight.shape
    grouped = weight.reshape(groups, c_i // groups, c_o, *kernel).swapaxes(1, 2)
    return grouped.reshape(groups * c_o, c_i // groups, *kernel)


def macs_nonzero(active: np.ndarray, weight: np.ndarray, groups: int) -> int:
    """Products of non-zero factors over all samples; what falls outside the output is multiplied too.

    Args:
        active: bool `[n, c_i, h, w]`, pixels that are not zero.
        weight: as `as_convolution` gives it.
    """
    grouped = (weight != 0).reshape(groups, len(weight) // groups, *weight.shape[1:])
    of_channel = grouped.sum((1, 3, 4), dtype=np.int64).reshape(-1)
    return int(active.sum((0, 2, 3), dtype=np.int64) @ of_channel)
