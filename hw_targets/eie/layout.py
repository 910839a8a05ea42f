"""Where a matrix lies in the machine: which element has how much of which column, in which line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from hw_targets.eie.config import EieConfig
from hw_targets.formats.interleaved import Interleaved, count_entries, encode


@dataclass(frozen=True)
class RowBatch:
    """Rows whose sums fit in the destination registers at once.

    Attributes:
        entries: uint16 `[columns, N]`, stored for each column on each element, padding included.
        work: cycles that they take: an empty column still takes one. The same shape and type.
        first_line, last_line: `[columns, N]`, lines of the weight memory that hold them; −2 and −1
            where there are none. int16 where that holds them all: half the memory to pass over.
        column_entries, column_lines: int64 `[columns]`, of all elements together.
    """

    entries: np.ndarray
    work: np.ndarray
    first_line: np.ndarray
    last_line: np.ndarray
    column_entries: np.ndarray
    column_lines: np.ndarray


@dataclass(frozen=True)
class Layout:
    """A matrix `[rows, columns]` over N elements.

    Attributes:
        batches: one after the other, `registers` rows of each element in each; all activations are
            broadcast again for each (section IV: activation vectors longer than 4K on 64 elements).
        nonzero: weights that are not zero.
    """

    rows: int
    columns: int
    batches: tuple[RowBatch, ...]
    nonzero: int

    @property
    def entries_of_elements(self) -> np.ndarray:
        """Entries that each element stores, int64 `[N]`."""
        return np.sum([batch.entries.sum(0, dtype=np.int64) for batch in self.batches], axis=0)

    @property
    def entries(self) -> int:
        """Entries on all elements."""
        return int(self.entries_of_elements.sum())

    @property
    def padding_fraction(self) -> float:
        """Share of the entries that only bridge a long run of zeros."""
        return 1 - self.nonzero / self.entries if self.entries else 0.0

    def bits(self, config: EieConfig) -> int:
        """Size of entries and pointers, in bits."""
        pointers = len(self.batches) * config.pe_count * (self.columns + 1)
        return self.entries * config.entry_bits + pointers * config.pointer_bits

    def pointer_bytes(self, config: EieConfig) -> int:
        """Column pointers of one element, which has all columns."""
        return len(self.batches) * (self.columns + 1) * config.pointer_bits // 8

    def too_large(self, config: EieConfig) -> str | None:
        """Which memory of an element does not hold its part, and what would; None where all fits."""
        pointers = self.pointer_bytes(config)
        if pointers > config.pointer_sram_bytes:
            return (
                f"needs {pointers} bytes of column pointers on every element, which has "
                f"{config.pointer_sram_bytes} (pointer_sram_bytes); more elements do not help, each has all columns"
            )
        fullest = int(self.entries_of_elements.max())
        if fullest > config.entries_per_pe:
            return (
                f"puts {fullest} entries on its fullest element, which holds {config.entries_per_pe}; evenly "
                f"shared, they take {-(-self.entries // config.entries_per_pe)} elements (there are {config.pe_count})"
            )
        return None


def reload_bits(layouts: Mapping[str, Layout], repeated: Collection[str], config: EieConfig) -> dict[str, int]:
    """Bits of each layer, by name, that come from DRAM for every sample: none if all are on chip together.

    Otherwise all are reloaded, layer by layer and piece by piece: what one sample leaves behind is
    not what the next begins with.

    Args:
        repeated: layers whose weight another one holds already.

    Raises:
        ValueError: they do not fit, and `config.overflow` is `refuse`; names the first that does not.
    """
    stored = [layout for name, layout in layouts.items() if name not in repeated]
    if not stored:
        return {}
    entries = int(np.sum([layout.entries_of_elements for layout in stored], axis=0).max())
    pointers = sum(layout.pointer_bytes(config) for layout in stored)
    if entries <= config.entries_per_pe and pointers <= config.pointer_sram_bytes:
        return dict.fromkeys(layouts, 0)
    if config.overflow == "reload":
        return {name: layout.bits(config) for name, layout in layouts.items()}
    advice = "overflow=reload fetches it from DRAM for every sample."
    for name, layout in layouts.items():
        if reason := layout.too_large(config):
            raise ValueError(f"{name} {reason}. {advice}")
    needed = -(-entries * config.pe_count // config.entries_per_pe)
    raise ValueError(
        f"The layers {', '.join(layouts)} together put {entries} entries and {pointers} bytes of pointers on an "
        f"element, which holds {config.entries_per_pe} and {config.pointer_sram_bytes}; evenly shared, the entries "
        f"take {needed} elements (there are {config.pe_count}). {advice}"
    )


def lay_out(matrix: np.ndarray, config: EieConfig) -> Layout:
    """Deal `matrix` `[rows, columns]`, of codes or weights, out to the elements.

    Raises:
        ValueError: it is no matrix, or empty.
    """
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"EIE multiplies by a matrix [out, in]; this weight has shape {list(matrix.shape)}.")
    batches = tuple(_row_batch(part, config) for part in _row_batches(matrix, config))
    return Layout(matrix.shape[0], matrix.shape[1], batches, int(np.count_nonzero(matrix)))


def encode_batches(codes: np.ndarray, config: EieConfig) -> tuple[Interleaved, ...]:
    """What the elements' memories hold for a matrix of codes, batch by batch of rows."""
    return tuple(encode(part, config.pe_count, config.index_bits) for part in _row_batches(codes, config))


def _row_batches(matrix: np.ndarray, config: EieConfig) -> list[np.ndarray]:
    height = config.registers * config.pe_count
    return [matrix[row : row + height] for row in range(0, len(matrix), height)]


def _row_batch(matrix: np.ndarray, config: EieConfig) -> RowBatch:
    entries = count_entries(matrix, config.pe_count, config.index_bits)
    end = np.cumsum(entries, axis=0, dtype=np.int64)
    begin = end - entries
    smallest = np.dtype(np.int16 if end.max() < config.entries_per_line << 15 else np.int32)
    first = np.where(entries > 0, begin // config.entries_per_line, -2).astype(smallest)
    last = np.where(entries > 0, (end - 1) // config.entries_per_line, -1).astype(smallest)
    lines = np.where(entries > 0, last - first + 1, 0).sum(1, dtype=np.int64)
    work = np.maximum(entries, 1).astype(np.uint8 if entries.max() < 256 else np.uint16)
    return RowBatch(entries, work, first, last, entries.sum(1, dtype=np.int64), lines)
