"""Activations on their way into exact products and out again, piece by piece; compiled, one pass each."""

from __future__ import annotations

import numba
import numpy as np

TILE = 16  # vectors whose sums are written at a time


@numba.njit(nogil=True, cache=True)
def encode(values, factor, least, most, offset, planes):  # type: ignore[no-untyped-def]
    """Codes of `values` `[n, c, h, w]`, by bytes, channels last.

    Args:
        factor: of the format; `least`, `most`: its range.
        offset: added to a code before it is split.
        planes: uint8 `[planes, n, h, w, c]`, filled.
    """
    n, channels, height, width = values.shape
    codes = np.empty((channels, width), np.uint16)
    for sample in range(n):
        for y in range(height):
            for channel in range(channels):
                for x in range(width):
                    code = np.rint(np.float64(values[sample, channel, y, x]) * factor)
                    code = least if code < least else code
                    code = most if code > most else code
                    codes[channel, x] = np.uint16(np.int32(code) + offset)
            for x in range(width):
                for channel in range(channels):
                    planes[0, sample, y, x, channel] = np.uint8(codes[channel, x] & 255)
            if len(planes) > 1:
                for x in range(width):
                    for channel in range(channels):
                        planes[1, sample, y, x, channel] = np.uint8(codes[channel, x] >> 8)


@numba.njit(nogil=True, cache=True)
def encode_rows(values, factor, least, most, offset, planes):  # type: ignore[no-untyped-def]
    """The same of vectors `[n, columns]`, into `[planes, n, columns]`."""
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            code = np.rint(np.float64(values[row, column]) * factor)
            code = least if code < least else code
            code = most if code > most else code
            whole = np.int32(code) + offset
            planes[0, row, column] = np.uint8(whole & 255)
            if len(planes) > 1:
                planes[1, row, column] = np.uint8(whole >> 8)


@numba.njit(nogil=True, cache=True)
def unfold(padded, kernel, stride, dilation, shape, rows):  # type: ignore[no-untyped-def]
    """The windows under a kernel, `[planes, n · h_o · w_o, k_h · k_w · c]`, channels last.

    Args:
        padded: `[planes, n, h, w · c]`.
        shape: `[h_o, w_o]`.
        rows: filled.
    """
    channels = rows.shape[2] // (kernel[0] * kernel[1])
    taps, length = (1, kernel[1] * channels) if dilation[1] == 1 else (kernel[1], channels)
    for plane in range(padded.shape[0]):
        row = 0
        for sample in range(padded.shape[1]):
            for y in range(shape[0]):
                for x in range(shape[1]):
                    place, into = 0, rows[plane, row]
                    for i in range(kernel[0]):
                        line = padded[plane, sample, y * stride[0] + i * dilation[0]]
                        for j in range(taps):
                            begin = (x * stride[1] + j * dilation[1]) * channels
                            for index in range(length):
                                into[place + index] = line[begin + index]
                            place += length
                    row += 1


@numba.njit(nogil=True, cache=True)
def encode_floats(values, factor, least, most, codes):  # type: ignore[no-untyped-def]
    """Codes of `values` `[n, c, h, w]` as they are, in float64 of the same shape."""
    n, channels, height, width = values.shape
    for sample in range(n):
        for channel in range(channels):
            for y in range(height):
                for x in range(width):
                    code = np.rint(np.float64(values[sample, channel, y, x]) * factor)
                    code = least if code < least else code
                    codes[sample, channel, y, x] = most if code > most else code


@numba.njit(nogil=True, cache=True)
def convolve_groups(codes, weight, stride, dilation, added, factor, least, most, unit, written):  # type: ignore[no-untyped-def]
    """A convolution in groups, each so narrow that a matrix product would be slower.

    Args:
        codes: float64 `[n, c, h, w]`, padded.
        weight: float64 `[c_o, c / groups, k_h, k_w]`.
        added, factor, least, most, unit: see `write_back`.
        written: float32 `[n, c_o, h_o, w_o]`, filled.

    Returns:
        The greatest absolute value of the sums, before they are rounded.
    """
    c_o, depth, k_h, k_w = weight.shape
    h_o, w_o = written.shape[2:]
    of_group = c_o // (codes.shape[1] // depth)
    sums = np.empty((h_o, w_o))
    greatest = 0.0
    for sample in range(codes.shape[0]):
        for output in range(c_o):
            first = output // of_group * depth
            sums[:] = added[output]
            for channel in range(depth):
                for i in range(k_h):
                    for j in range(k_w):
                        _add_tap(
                            codes[sample, first + channel, i * dilation[0] :, j * dilation[1] :],
                            weight[output, channel, i, j],
                            stride,
                            sums,
                        )
            for y in range(h_o):
                for x in range(w_o):
                    size = abs(sums[y, x])
                    greatest = size if size > greatest else greatest
                    code = np.rint(sums[y, x] * factor)
                    code = least if code < least else code
                    code = most if code > most else code
                    written[sample, output, y, x] = np.float32(code * unit)
    return greatest


@numba.njit(nogil=True, cache=True)
def _add_tap(codes, weight, stride, sums):  # type: ignore[no-untyped-def]
    for y in range(sums.shape[0]):
        line, total = codes[y * stride[0]], sums[y]
        if stride[1] == 1:  # of which the compiler makes vector instructions
            for x in range(len(total)):
                total[x] += weight * line[x]
        else:
            for x in range(len(total)):
                total[x] += weight * line[x * stride[1]]


@numba.njit(nogil=True, cache=True)
def write_back(sums, scales, added, factor, least, most, unit, written):  # type: ignore[no-untyped-def]
    """Put sums of pieces together, round them once to the format, and write what they mean.

    Args:
        sums: `[planes, n · pixels, pieces, out]`.
        scales: float64 `[planes, pieces]`, what each piece counts.
        added: float64 `[out]`, to each sum.
        factor: from sums to codes; `least`, `most`: their range; `unit`: what a code of 1 means.
        written: float32 `[n, pixels, out]`, filled.

    Returns:
        The greatest absolute value of the sums, before they are rounded.
    """
    planes, _, pieces, outputs = sums.shape
    pixels = written.shape[1]
    whole = np.empty((TILE, outputs))
    codes = np.empty((TILE, outputs), np.float32)
    greatest = 0.0
    for sample in range(written.shape[0]):
        for begin in range(0, pixels, TILE):
            tile = min(TILE, pixels - begin)
            for index in range(tile):
                row, total = sample * pixels + begin + index, whole[index]
                total[:] = added
                for plane in range(planes):
                    for piece in range(pieces):
                        scale, part = scales[plane, piece], sums[plane, row, piece]
                        for output in range(outputs):
                            total[output] += scale * part[output]
                for output in range(outputs):
                    size = abs(total[output])
                    greatest = size if size > greatest else greatest
                    code = np.rint(total[output] * factor)
                    code = least if code < least else code
                    code = most if code > most else code
                    codes[index, output] = np.float32(code * unit)
            for output in range(outputs):
                for index in range(tile):
                    written[sample, begin + index, output] = codes[index, output]
    return greatest
