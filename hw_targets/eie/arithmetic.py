"""What the processing elements compute, entry by entry and to the bit.

An element adds up relative indexes to know its row, looks the code up, multiplies by the activation that
was broadcast, and adds to the row's register. Registers are as wide as they need to be here: products of
16-bit numbers are summed exactly, and rounded once, at write-back.
"""

from __future__ import annotations

import numba
import numpy as np

from hw_targets.formats.interleaved import Interleaved


def multiply(batches: tuple[Interleaved, ...], table: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Exact sums of a matrix of codes and vectors of fixed-point activations: int64 `[vectors, rows]`.

    Args:
        batches: the matrix, batches of rows one below the other.
        table: int32, what each code means.
        vectors: whole numbers `[vectors, columns]`.
    """
    activations = vectors.astype(np.int64)
    sums = np.zeros((len(vectors), sum(batch.shape[0] for batch in batches)), np.int64)
    row = 0
    for batch in batches:
        part = sums[:, row : row + batch.shape[0]]
        _multiply(batch.values, batch.zeros, batch.pointers, batch.starts, table.astype(np.int64), activations, part)
        row += batch.shape[0]
    return sums


@numba.njit(parallel=True, cache=True)
def _multiply(codes, zeros, pointers, starts, table, activations, sums):  # type: ignore[no-untyped-def]
    pe_count = len(pointers)
    for vector in numba.prange(len(activations)):
        registers = np.zeros(sums.shape[1], np.int64)
        active = np.flatnonzero(activations[vector])
        for pe in range(pe_count):
            start, pointer = starts[pe], pointers[pe]
            for column in active:
                activation = activations[vector, column]
                row = np.int64(pe - pe_count)
                for entry in range(start + pointer[column], start + pointer[column + 1]):
                    row += (np.int64(zeros[entry]) + 1) * pe_count
                    registers[row] += table[codes[entry]] * activation
        sums[vector] = registers
