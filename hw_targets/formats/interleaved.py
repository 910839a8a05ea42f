"""A matrix dealt out to N processing elements, as EIE stores it (Han et al. 2016, arXiv 1602.01528, section III).

Row i lies on element i mod N (figure 2), which keeps its rows in the relative-index format of
`relative_index`: column by column, each entry with the number of zeros before it (figure 3).

A run of zeros that does not fit in `index_bits` costs padding entries. How many entries each column
has on each element decides EIE's time; `count_entries` finds that in one pass over the matrix,
without building the format.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numba
import numpy as np

from hw_targets.formats import relative_index
from hw_targets.formats.encoded import Encoded, checked, index_width, value_width
from hw_targets.formats.relative_index import INDEX_BITS

ELEMENTS_IN_FIGURE_2 = 4


@dataclass(frozen=True)
class Interleaved:
    """A matrix over N elements.

    Attributes:
        shape: of the matrix, rows and columns.
        values: of all entries, in the matrix's type: element by element, column by column.
        zeros: zeros before each entry since the one before it in its column; as long as `values`.
        pointers: int64 `[N, columns + 1]`, where each column begins among the element's own entries.
        starts: int64 `[N + 1]`, where each element's entries begin in `values`.
    """

    shape: tuple[int, int]
    index_bits: int
    values: np.ndarray
    zeros: np.ndarray
    pointers: np.ndarray
    starts: np.ndarray

    @property
    def pe_count(self) -> int:
        """Processing elements, N."""
        return len(self.pointers)

    @property
    def padding(self) -> int:
        """Entries that hold a zero only because a run of zeros was too long."""
        return self.values.size - int(np.count_nonzero(self.values))

    def element(self, pe: int) -> Encoded:
        """What element `pe` keeps: its rows pe, pe + N, … as `relative_index` encodes them."""
        own = slice(self.starts[pe], self.starts[pe + 1])
        rows = len(range(pe, self.shape[0], self.pe_count))
        widths = {"z": self.index_bits, "pointers": index_width(int(self.pointers[pe, -1]) + 1)}
        indexes = {"z": self.zeros[own].astype(np.int64), "pointers": self.pointers[pe]}
        return Encoded((rows, self.shape[1]), self.values[own], indexes, widths)

    def memory(self, pe: int) -> str:
        """The three rows of the paper's figure 3 for one element: entries, relative indexes, column pointers."""
        own = self.element(pe)
        z, pointers = own.indexes["z"], own.indexes["pointers"]
        names = []
        for column in range(self.shape[1]):
            row = -1
            for entry in range(pointers[column], pointers[column + 1]):
                row += int(z[entry]) + 1
                padded = own.values[entry] == 0
                names.append("0" if padded else f"W{row * self.pe_count + pe},{column}")
        width = max(map(len, (*names, *map(str, pointers))), default=1)
        lines = (("virtual weight", names), ("relative row index", z), ("column pointer", pointers))
        return "\n".join(f"{title:<19}" + " ".join(f"{cell!s:>{width}}" for cell in cells) for title, cells in lines)


def encode(matrix: np.ndarray, pe_count: int = ELEMENTS_IN_FIGURE_2, index_bits: int = INDEX_BITS) -> Interleaved:
    """Deal `[rows, columns]` out to `pe_count` elements.

    Raises:
        ValueError: see `encoded.checked` and `count_entries`.
    """
    matrix = checked(matrix)
    if matrix.dtype == np.float16:  # the compiler does not know it
        wide = encode(matrix.astype(np.float32), pe_count, index_bits)
        return replace(wide, values=wide.values.astype(np.float16))
    counts = count_entries(matrix, pe_count, index_bits)
    pointers = np.zeros((pe_count, matrix.shape[1] + 1), np.int64)
    np.cumsum(counts.T, axis=1, out=pointers[:, 1:])
    starts = np.concatenate([[0], np.cumsum(pointers[:, -1])]).astype(np.int64)
    values = np.zeros(starts[-1], matrix.dtype)
    zeros = np.full(starts[-1], (1 << index_bits) - 1, np.uint16)
    _fill(np.ascontiguousarray(matrix), index_bits, pointers, starts, values, zeros)
    return Interleaved(matrix.shape, index_bits, values, zeros, pointers, starts)


def decode(encoded: Interleaved) -> np.ndarray:
    """The matrix `[rows, columns]`."""
    matrix = np.zeros(encoded.shape, encoded.values.dtype)
    for pe in range(encoded.pe_count):
        matrix[pe :: encoded.pe_count] = relative_index.decode(encoded.element(pe))
    return matrix


def size_bits(
    matrix: np.ndarray,
    value_bits: int | None = None,
    pe_count: int = ELEMENTS_IN_FIGURE_2,
    index_bits: int = INDEX_BITS,
    pointer_bits: int | None = None,
) -> int:
    """e·(value bits + index bits) + N·(columns + 1)·pointer bits for e entries, padding included.

    Args:
        pointer_bits: default: as many as the fullest element's entries need.
    """
    counts = count_entries(matrix, pe_count, index_bits)
    of_elements = counts.sum(0, dtype=np.int64)
    width = index_width(int(of_elements.max(initial=0)) + 1) if pointer_bits is None else pointer_bits
    pointers = pe_count * (int(matrix.shape[1]) + 1) * width
    return int(of_elements.sum()) * (value_width(matrix, value_bits) + index_bits) + pointers


def count_entries(matrix: np.ndarray, pe_count: int, index_bits: int = INDEX_BITS) -> np.ndarray:
    """Entries of each column on each element, padding included: uint16 `[columns, pe_count]`.

    Args:
        matrix: weights or a mask `[rows, columns]`; what is not zero is stored.

    Raises:
        ValueError: `pe_count` is below 1, `index_bits` not from 1 to 15, or an element gets 2^15 rows or more.
    """
    if pe_count < 1 or not 1 <= index_bits <= 15:
        raise ValueError(f"There must be at least 1 element and 1 to 15 index bits, not {pe_count} and {index_bits}.")
    if matrix.shape[0] >= pe_count << 15:
        raise ValueError(f"{matrix.shape[0]} rows are too many for {pe_count} elements: at most 32,767 a piece.")
    counts = np.zeros((pe_count, matrix.shape[1]), np.uint16)
    stored = matrix.astype(np.float32) if matrix.dtype == np.float16 else matrix
    _count(np.ascontiguousarray(stored), index_bits, counts)
    return np.ascontiguousarray(counts.T)


@numba.njit(parallel=True, cache=True)
def _count(matrix, index_bits, counts):  # type: ignore[no-untyped-def]
    rows, columns = matrix.shape
    pe_count = counts.shape[0]
    for pe in numba.prange(pe_count):
        zeros = np.zeros(columns, np.uint16)  # since the column's last non-zero on this element
        count = counts[pe]
        for row in range(pe, rows, pe_count):
            line = matrix[row]
            for column in range(columns):
                run = zeros[column]
                kept = line[column] != 0
                count[column] += np.uint16(1 + (run >> np.uint16(index_bits))) if kept else np.uint16(0)
                zeros[column] = np.uint16(0) if kept else np.uint16(run + 1)


@numba.njit(parallel=True, cache=True)
def _fill(matrix, index_bits, pointers, starts, values, zeros):  # type: ignore[no-untyped-def]
    """Write each non-zero behind its padding; `values` and `zeros` already hold what padding holds."""
    rows, columns = matrix.shape
    pe_count = pointers.shape[0]
    span = 1 << index_bits
    for pe in numba.prange(pe_count):
        place = pointers[pe, :columns] + starts[pe]  # where the column's next entry goes
        run = np.zeros(columns, np.int32)
        for row in range(pe, rows, pe_count):
            for column in range(columns):
                weight = matrix[row, column]
                if weight == 0:
                    run[column] += 1
                    continue
                entry = place[column] + run[column] // span
                values[entry] = weight
                zeros[entry] = run[column] % span
                place[column] = entry + 1
                run[column] = 0
