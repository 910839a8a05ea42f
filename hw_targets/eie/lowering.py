"""Layers as sequences of matrix–vector products, with the zeros their activations really have.

A convolution is one product for each output pixel: the matrix `[c_o, c_i·k_h·k_w]` by the window under
the kernel, padding included as zeros. Groups make the matrix block-diagonal, so that a depthwise
convolution is a sparse matrix like any other. An LSTM is one product for each step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from hw_targets.graph.trace import LayerTrace


@dataclass(frozen=True)
class Products:
    """The vectors that one sample puts through a layer.

    Attributes:
        active: int32, columns of the matrix whose activation is not zero, vector after vector.
        first: int64 `[vectors + 1]`, where each vector's begin, and the end.
    """

    active: np.ndarray
    first: np.ndarray


def as_matrix(codes: np.ndarray, groups: int = 1) -> np.ndarray:
    """A weight as `[rows, columns]`; for a convolution of several groups with zeros between them."""
    matrix = codes.reshape(len(codes), -1)
    if groups == 1:
        return matrix
    rows, columns = len(matrix) // groups, matrix.shape[1]
    spread = np.zeros((len(matrix), columns * groups), codes.dtype)
    for group in range(groups):
        own = slice(group * rows, (group + 1) * rows)
        spread[own, group * columns : (group + 1) * columns] = matrix[own]
    return spread


def sample_windows(
    images: np.ndarray,
    kernel: tuple[int, int],
    limit: int,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    groups: int,
) -> np.ndarray:
    """At most `limit` of the vectors that a convolution makes of `images` `[n, c_i, h, w]`; always the same draw.

    Returns:
        `[groups, vectors, c_i / groups · k_h · k_w]`, for each group the columns of its own part of the matrix.
    """
    top, left, bottom, right = padding
    padded = np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)))
    span = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(padded, span, (2, 3))
    view = view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    n, _, h_o, w_o = view.shape[:4]
    drawn = np.random.default_rng(0).permutation(n * h_o * w_o)[:limit]
    sample, y, x = np.unravel_index(np.sort(drawn), (n, h_o, w_o))
    return view[sample, :, y, x].reshape(len(drawn), groups, -1).swapaxes(0, 1)


def products(layer: LayerTrace, codes: np.ndarray, sample: int) -> Products:
    """What `sample`, counted from 0, puts through `layer`.

    Args:
        layer: traced on one sample.
        codes: the layer's input for several, as the machine reads it, in the layout of `LayerTrace.inputs`.
    """
    own = _of_sample(codes, layer.inputs.shape, sample)
    if layer.kind == "conv":
        return _windows_of(layer, own[0])
    rows = own.reshape(-1, own.shape[-1])
    vector, column = np.nonzero(rows)
    return Products(column.astype(np.int32), np.searchsorted(vector, np.arange(len(rows) + 1)).astype(np.int64))


def _of_sample(codes: np.ndarray, shape: tuple[int, ...], sample: int) -> np.ndarray:
    """The part of `codes` that belongs to `sample`, where one sample alone has `shape`.

    The axis that grew holds the samples, also where tokens or pixels were flattened into it. If none
    did, there is one sample, or the layer's input does not depend on it.
    """
    for axis, (length, of_one) in enumerate(zip(codes.shape, shape, strict=True)):
        if length != of_one:
            return codes.take(range(sample * of_one, (sample + 1) * of_one), axis)
    return codes


def _windows_of(layer: LayerTrace, image: np.ndarray) -> Products:
    assert layer.weight is not None
    top, left, bottom, right = layer.padding
    active = np.pad(image != 0, ((0, 0), (top, bottom), (left, right)))
    kernel = layer.weight.shape[2:]
    shape = layer.output_shape[2:] if len(layer.output_shape) == 4 else (1, layer.output_shape[-1])
    geometry = (*shape, *kernel, *layer.stride, *layer.dilation)
    counts = np.zeros(shape[0] * shape[1], np.int64)
    _count_windows(active, geometry, counts)
    first = np.concatenate([[0], np.cumsum(counts)])
    columns = np.empty(first[-1], np.int32)
    _fill_windows(active, geometry, first, columns)
    return Products(columns, first)


@numba.njit(parallel=True, cache=True)
def _count_windows(active, geometry, counts):  # type: ignore[no-untyped-def]
    h_o, w_o, k_h, k_w, s_y, s_x, d_y, d_x = geometry
    for y in numba.prange(h_o):
        for x in range(w_o):
            count = 0
            for channel in range(active.shape[0]):
                for i in range(k_h):
                    for j in range(k_w):
                        count += active[channel, y * s_y + i * d_y, x * s_x + j * d_x]
            counts[y * w_o + x] = count


@numba.njit(parallel=True, cache=True)
def _fill_windows(active, geometry, first, columns):  # type: ignore[no-untyped-def]
    h_o, w_o, k_h, k_w, s_y, s_x, d_y, d_x = geometry
    for y in numba.prange(h_o):
        for x in range(w_o):
            place = first[y * w_o + x]
            for channel in range(active.shape[0]):
                for i in range(k_h):
                    for j in range(k_w):
                        if active[channel, y * s_y + i * d_y, x * s_x + j * d_x]:
                            columns[place] = (channel * k_h + i) * k_w + j
                            place += 1
