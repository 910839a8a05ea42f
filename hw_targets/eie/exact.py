"""Exact products of a matrix of 16-bit numbers with 16-bit activations, from the fastest kernels that give them.

Processors with VNNI or its like multiply bytes, and add up in 32 bits, four times as fast as floats; float64
runs at half the speed of floats. So both factors are taken in pieces of 8 bits:

    a = Σ_i 256^i a_i − offset,  0 ≤ a_i ≤ 255        w = common · Σ_j 256^j w_j,  −128 ≤ w_j ≤ 127
    Σ_k w_k a_k = common · Σ_ij 256^(i+j) (Σ_k w_jk a_ik) − offset · Σ_k w_k

where `common` is the greatest common divisor of the weights. Each inner sum is at most 255 · Σ_k |w_jk|, which
is held against the 31 bits it has before a matrix is taken apart so; what is added up of them is a whole number
that float64 holds. Kernels for older processors add pairs of products in 16 bits and saturate: one run on the
greatest bytes tells, and there, or where a bound is missed, float64 does the sums whole (see `fixed_point`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx import helper, numpy_helper

HELD = 1 << 51  # that sums reach at most, so that float64 holds them, and as large a bias beside them


@dataclass(frozen=True)
class WholeMatrix:
    """A matrix in float64; everything is one piece.

    Attributes:
        factor: `[columns, out]`.
    """

    factor: np.ndarray

    planes: ClassVar[int] = 1
    dtype: ClassVar[type] = np.float64
    offset: ClassVar[int] = 0

    @classmethod
    def of(cls, integers: np.ndarray) -> WholeMatrix:
        """Of whole numbers `[out, columns]`."""
        return cls(np.ascontiguousarray(integers.T, np.float64))

    @property
    def scales(self) -> np.ndarray:
        """What each piece counts, float64 `[planes, pieces]`."""
        return np.ones((1, 1))

    @property
    def correction(self) -> np.ndarray:
        """What is still to be added to each sum, float64 `[out]`."""
        return np.zeros(self.factor.shape[1])

    def multiply(self, rows: np.ndarray) -> np.ndarray:
        """Sums of the pieces, `[planes, n, pieces, out]`, of activations `[planes, n, columns]`."""
        return (rows @ self.factor)[:, :, None]


@dataclass(frozen=True)
class ByteMatrix:
    """A matrix in pieces of 8 bits, held by ONNX Runtime as its kernel wants it.

    Attributes:
        planes: bytes of an activation.
        offset: is added to activations before they are split.
        scales: what each product of pieces counts, float64 `[planes, pieces]`.
        correction: what is still to be added to each sum, float64 `[out]`.
    """

    planes: int
    offset: int
    scales: np.ndarray
    correction: np.ndarray
    session: Any

    dtype: ClassVar[type] = np.uint8

    def multiply(self, rows: np.ndarray) -> np.ndarray:
        """Sums of the pieces, int32 `[planes, n, pieces, out]`, of activations uint8 `[planes, n, columns]`."""
        found = self.session.run(["sums"], {"rows": rows.reshape(-1, rows.shape[-1])})[0]
        return found.reshape(*rows.shape[:2], self.scales.shape[1], -1)


def exact_matrix(integers: np.ndarray, value_bits: int) -> ByteMatrix | WholeMatrix:
    """Get a matrix ready to be multiplied exactly.

    Args:
        integers: `[out, columns]`, whole numbers of at most 16 bits.
        value_bits: of the activations, at most 16.
    """
    matrix = integers.astype(np.int64)
    common = max(int(np.gcd.reduce(matrix, axis=None)), 1)
    pieces = _bytes(matrix // common)
    planes = 1 if value_bits <= 8 else 2
    scales = float(common) * 256.0 ** np.add.outer(np.arange(planes), np.arange(len(pieces)))
    sums = 255 * np.abs(pieces).sum(2).max(1, initial=0)
    offset = 1 << (8 * planes - 1)
    correction = -float(offset) * matrix.sum(1, dtype=np.float64)
    total = (scales * sums).sum() + np.abs(correction).max(initial=0)
    if matrix.size == 0 or sums.max() >= 1 << 31 or total > HELD or not bytes_are_exact():
        return WholeMatrix.of(matrix)
    joined = np.ascontiguousarray(pieces.reshape(-1, matrix.shape[1]).T, np.int8)
    return ByteMatrix(planes, offset, scales, correction, _byte_session(joined))


def _bytes(matrix: np.ndarray) -> np.ndarray:
    """`[pieces, …]` in −128 … 127, the lowest first, whose sum by powers of 256 is `matrix`."""
    pieces: list[np.ndarray] = []
    while not pieces or matrix.any():
        pieces.append(((matrix + 128) & 255) - 128)
        matrix = (matrix - pieces[-1]) >> 8
    return np.stack(pieces)


@lru_cache(maxsize=1)
def bytes_are_exact() -> bool:
    """Whether this processor's kernel of the runtime adds products of bytes without saturating."""
    draw = np.random.default_rng(0)
    rows = np.concatenate([np.full((5, 261), 255), draw.integers(0, 256, (64, 261))]).astype(np.uint8)
    factor = np.stack([np.full(261, 127), np.full(261, -128), *draw.integers(-128, 128, (49, 261))], axis=1)
    found = _byte_session(factor.astype(np.int8)).run(["sums"], {"rows": rows})[0]
    return np.array_equal(found, rows.astype(np.int64) @ factor)


def _byte_session(factor: np.ndarray) -> Any:
    """ONNX Runtime on `rows @ factor`, uint8 by int8, added up in int32; in the calling thread."""
    import onnxruntime

    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "factor"], ["sums"])],
        "bytes",
        [helper.make_tensor_value_info("rows", onnx.TensorProto.UINT8, ["n", factor.shape[0]])],
        [helper.make_tensor_value_info("sums", onnx.TensorProto.INT32, ["n", factor.shape[1]])],
        [numpy_helper.from_array(factor, "factor")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
