"""Weights onto a codebook so that a layer's outputs change least on real activations. No training.

Rounding each weight to the nearest of 15 values moves the outputs more than it has to. Two things help:

- In k-means a weight counts for what its error does: the mean square of the activation that it is
  multiplied by, over the variance of the output that it adds to, as a normalisation mostly follows
  (Hessian-weighted k-means, Choi et al. 2017, arXiv 1612.01543).
- Columns are rounded one after another, and those still to come make up for what the outputs have lost,
  as far as their activations go together (GPTQ, Frantar et al. 2023, arXiv 2210.17323): with H the second
  moment of the activations and H^-1 = U^T U, the error e of column j takes e·U_jk / U_jj off column k.

Weights that were removed stay removed.
"""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np

from hw_targets.eie.codebook import CodedWeight, code_weight
from hw_targets.eie.config import EieConfig

COLUMNS = 1024  # that make up for each other's errors; the work grows with the square
DAMPING = 0.01  # of the mean diagonal of H, added to it, as in GPTQ


def fit_weight(weight: np.ndarray, vectors: np.ndarray, config: EieConfig, name: str = "the weight") -> CodedWeight:
    """Share the values of `weight`, as `config.sharing` says.

    Args:
        weight: `[out, …]`, flattened to `[out, columns]`; the rows of each group follow each other.
        vectors: real activations `[groups, n, columns]`.

    Raises:
        ValueError: see `code_weight`.
    """
    matrix = weight.reshape(len(weight), -1).astype(np.float64)
    coded = code_weight(matrix, config, name, _importance(matrix, vectors))
    codes = coded.codes if coded.kept else _round_in_turn(matrix, coded, vectors)
    return replace(coded, codes=codes.reshape(weight.shape))


def _importance(matrix: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """What a unit of each weight's error adds to the mean square error of its output, over the output's variance."""
    of_group = matrix.reshape(len(vectors), -1, matrix.shape[1])
    variance = (vectors @ of_group.swapaxes(1, 2)).var(1)[:, :, None]
    square = np.einsum("gnc,gnc->gc", vectors, vectors)[:, None, :] / vectors.shape[1]
    tiny = np.finfo(np.float32).tiny
    return (np.maximum(square, tiny) / np.maximum(variance, tiny)).reshape(matrix.shape)


def _round_in_turn(matrix: np.ndarray, coded: CodedWeight, vectors: np.ndarray) -> np.ndarray:
    """Codes of all groups, block of columns by block of columns."""
    table = coded.values_of_codes
    codes = np.zeros(matrix.shape, np.uint8)
    rows = len(matrix) // len(vectors)
    for group, activations in enumerate(vectors):
        own = slice(group * rows, (group + 1) * rows)
        for begin in range(0, matrix.shape[1], COLUMNS):
            block = slice(begin, begin + COLUMNS)
            moment = _second_moment(activations[:, block])
            order = np.argsort(-np.diag(moment), kind="stable")  # the columns that matter most come first
            factor = np.linalg.cholesky(np.linalg.inv(moment[np.ix_(order, order)])).T
            part = np.ascontiguousarray(matrix[own, block][:, order])
            found = np.zeros(part.shape, np.uint8)
            _round_columns(part, np.ascontiguousarray(factor), table, found)
            codes[own, begin + order] = found
    return codes


def _second_moment(activations: np.ndarray) -> np.ndarray:
    """Of `[n, columns]`, shrunk towards equal and independent columns the more, the fewer vectors there are."""
    from sklearn.covariance import OAS

    moment = OAS(store_precision=False, assume_centered=True).fit(activations).covariance_
    scale = float(np.diag(moment).mean()) or 1.0  # activations that are all zero say nothing
    return moment + DAMPING * scale * np.eye(len(moment))


@numba.njit(parallel=True, cache=True)
def _round_columns(weight, factor, table, codes):  # type: ignore[no-untyped-def]
    """Fill `codes`; `weight` is used up. `table[0]` is 0, the other values rise."""
    rows, columns = weight.shape
    middle = (table[2:] + table[1:-1]) / 2
    for row in numba.prange(rows):
        line = weight[row]
        removed = line == 0
        for column in range(columns):
            code = 0 if removed[column] else 1 + np.searchsorted(middle, line[column])
            codes[row, column] = code
            error = (line[column] - table[code]) / factor[column, column]
            for later in range(column + 1, columns):
                line[later] -= error * factor[column, later]
