"""What EIE computes, to the bit: integer products, summed exactly.

Weights and activations are whole numbers of at most 16 bits, held in float64, which adds their products
without rounding (see `fixed_point`). So a matrix product of any library gives the machine's sums, in
whatever order it adds.
"""

from __future__ import annotations

import numpy as np

from hw_targets.eie.codebook import CodedWeight
from hw_targets.eie.fixed_point import EXACT_TERMS, FixedPoint

BLOCK = 512


def multiply(weight: CodedWeight, codes: np.ndarray, format: FixedPoint) -> tuple[np.ndarray, int]:
    """Exact sums `[batch, out]` of a matrix `[out, in]` and vectors of codes `[batch, in]`, and their fraction bits.

    Raises:
        ValueError: there are too many terms for a float64 to sum exactly.
    """
    check_terms(codes.shape[-1])
    used = np.flatnonzero(codes.any(0))
    table, sums = weight.table.astype(np.float64), np.empty((len(codes), len(weight.codes)))
    active = np.ascontiguousarray(codes[:, used])
    for rows in range(0, len(weight.codes), BLOCK):  # decoded a block at a time: float64 is wide
        block = slice(rows, rows + BLOCK)
        sums[:, block] = active @ table[weight.codes[block, used]].T
    return sums, weight.format.fraction + format.fraction


def check_terms(terms: int) -> None:
    """Refuse sums that a float64 might round.

    Raises:
        ValueError: there are too many terms.
    """
    if terms > EXACT_TERMS:
        raise ValueError(f"Sums of {terms} products could be rounded; at most {EXACT_TERMS} are exact.")
