"""Whole batches through a layer's products: encoded, multiplied exactly, written back, part by part.

A part is so small that it stays in the processor's caches, and each core works on parts of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from hw_targets.eie import moving
from hw_targets.eie.exact import ByteMatrix, WholeMatrix
from hw_targets.eie.fixed_point import FixedPoint

PART_BYTES = 1 << 21  # of pieces and their sums, at a time


@dataclass(frozen=True)
class Numbers:
    """What a layer's products read and write.

    Attributes:
        fraction: bits behind the point of the exact sums.
        added: to each sum, whole numbers in float64 `[out]`.
    """

    reads: FixedPoint
    writes: FixedPoint
    fraction: int
    added: np.ndarray


Found = tuple[np.ndarray, float]  # what is written back, float32, and the greatest absolute value of the exact sums


def multiply_vectors(matrix: ByteMatrix | WholeMatrix, values: np.ndarray, numbers: Numbers) -> Found:
    """A matrix by vectors `[…, columns]`: `[…, out]`."""
    vectors = values.reshape(-1, values.shape[-1])
    outputs = len(numbers.added)
    written = np.empty((1, len(vectors), outputs), np.float32)

    def work(part: slice) -> float:
        return _write(matrix, _encode_rows(matrix, vectors[part], numbers.reads), numbers, written[:, part])

    greatest = _in_parts(len(vectors), _bytes(matrix, vectors.shape[1], outputs), matrix, work)
    return written.reshape(*values.shape[:-1], outputs), greatest


def convolve(
    matrix: ByteMatrix | WholeMatrix,
    values: np.ndarray,
    numbers: Numbers,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Found:
    """A convolution of one group, `[n, c_i, h, w]` to `[n, c_o, h_o, w_o]`.

    Args:
        matrix: `[c_o, k_h · k_w · c_i]`, channels last.
    """
    assert groups == 1
    n, channels = values.shape[:2]
    shape = output_shape(values.shape[2:], kernel, stride, padding, dilation)
    pixels, columns, outputs = shape[0] * shape[1], kernel[0] * kernel[1] * channels, len(numbers.added)
    written = np.empty((n, outputs, pixels), np.float32)

    def work(part: slice) -> float:
        padded = _encode_padded(matrix, values[part], numbers.reads, padding)
        if kernel == (1, 1) and stride == (1, 1):
            rows = padded.reshape(len(padded), -1, columns)
        else:
            rows = np.empty((len(padded), padded.shape[1] * pixels, columns), padded.dtype)
            word = _word(channels * padded.itemsize)  # several bytes are moved at a time
            lines = padded.reshape(*padded.shape[:3], -1).view(word)
            moving.unfold(lines, kernel, stride, dilation, shape, rows.view(word))
        return _write(matrix, rows, numbers, written[part].transpose(0, 2, 1))

    greatest = _in_parts(n, pixels * _bytes(matrix, columns, outputs), matrix, work)
    return written.reshape(n, outputs, *shape), greatest


def convolve_groups(
    weight: np.ndarray,
    values: np.ndarray,
    numbers: Numbers,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Found:
    """A convolution of several groups.

    Args:
        weight: whole numbers in float64 `[c_o, c_i / groups, k_h, k_w]`.
    """
    top, left, bottom, right = padding
    n, outputs = len(values), len(weight)
    height, width = values.shape[2:]
    shape = output_shape(values.shape[2:], weight.shape[2:], stride, padding, dilation)
    written = np.empty((n, outputs, *shape), np.float32)

    def work(part: slice) -> float:
        images = values[part]
        codes = np.zeros((len(images), images.shape[1], top + height + bottom, left + width + right))
        moving.encode_floats(images, *_code(numbers.reads), codes[:, :, top : top + height, left : left + width])
        return moving.convolve_groups(codes, weight, stride, dilation, numbers.added, *_back(numbers), written[part])

    greatest = _in_parts(n, 8 * (values[0].size + written[0].size), None, work)
    return written, greatest


def output_shape(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
) -> tuple[int, int]:
    """Height and width of what a convolution gives for an image of `size`."""
    height, width = (
        (size[axis] + padding[axis] + padding[axis + 2] - (kernel[axis] - 1) * dilation[axis] - 1) // stride[axis] + 1
        for axis in (0, 1)
    )
    return height, width


def _encode_rows(matrix: ByteMatrix | WholeMatrix, vectors: np.ndarray, reads: FixedPoint) -> np.ndarray:
    """Vectors as the matrix reads them, `[planes, n, columns]`."""
    if isinstance(matrix, WholeMatrix):
        return reads.encode(vectors)[None]
    planes = np.empty((matrix.planes, *vectors.shape), np.uint8)
    moving.encode_rows(vectors, *_code(reads), matrix.offset, planes)
    return planes


def _encode_padded(
    matrix: ByteMatrix | WholeMatrix, images: np.ndarray, reads: FixedPoint, padding: tuple[int, int, int, int]
) -> np.ndarray:
    """Images as the matrix reads them, padded, `[planes, n, h, w, c]`."""
    top, left, bottom, right = padding
    n, channels, height, width = images.shape
    padded = np.empty((matrix.planes, n, height + top + bottom, width + left + right, channels), matrix.dtype)
    zero = matrix.offset
    for plane in padded:
        plane[:, :top] = plane[:, top + height :] = plane[:, :, :left] = plane[:, :, left + width :] = zero & 255
        zero >>= 8
    inner = padded[:, :, top : top + height, left : left + width]
    if isinstance(matrix, WholeMatrix):
        inner[0] = np.moveaxis(reads.encode(images), 1, -1)
    else:
        moving.encode(images, *_code(reads), matrix.offset, inner)
    return padded


def _write(matrix: ByteMatrix | WholeMatrix, rows: np.ndarray, numbers: Numbers, written: np.ndarray) -> float:
    """Multiply, and fill `written` `[n, pixels, out]`; the greatest absolute value of the exact sums."""
    added = numbers.added + matrix.correction
    return moving.write_back(matrix.multiply(rows), matrix.scales, added, *_back(numbers), written)


def _back(numbers: Numbers) -> tuple[float, float, float, float]:
    """What exact sums are multiplied by, the least and the greatest code, and what a code of 1 means."""
    _, least, most = _code(numbers.writes)
    return 2.0 ** (numbers.writes.fraction - numbers.fraction), least, most, 2.0**-numbers.writes.fraction


def _word(size: int) -> np.dtype:
    """The widest whole number whose length divides `size`, in bytes."""
    return np.dtype(f"u{np.gcd(size, 8)}")


def _code(format: FixedPoint) -> tuple[float, float, float]:
    """What numbers are multiplied by, and the least and the greatest code."""
    return 2.0**format.fraction, float(-format.greatest - 1), float(format.greatest)


def _bytes(matrix: ByteMatrix | WholeMatrix, columns: int, outputs: int) -> int:
    """That one vector and its sums take."""
    pieces = matrix.scales.shape[1]
    wide = 8 if isinstance(matrix, WholeMatrix) else 4
    return matrix.planes * (columns * np.dtype(matrix.dtype).itemsize + pieces * outputs * wide)


def _in_parts(count: int, bytes_each: int, matrix: Any, work: Callable[[slice], float]) -> float:
    """The greatest of what `work` finds for parts of `count` things."""
    workers = 1 if isinstance(matrix, WholeMatrix) else available_cores()  # a product of floats uses all cores itself
    size = max(1, min(PART_BYTES // max(bytes_each, 1), -(-count // workers)))
    parts = [slice(begin, begin + size) for begin in range(0, count, size)]
    if min(workers, len(parts)) < 2:
        return max(map(work, parts), default=0.0)
    with ThreadPoolExecutor(workers) as pool:
        return max(pool.map(work, parts))


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
