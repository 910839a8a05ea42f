"""The machine: processing elements, queues, memories and clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Sharing = Literal["auto", "keep", "cluster"]
Overflow = Literal["reload", "refuse"]
LIMITS = {
    "pe_count": (1, 256),
    "fifo_depth": (1, 4096),
    "index_bits": (1, 8),
    "codebook_bits": (1, 8),
    "value_bits": (4, 16),
    "line_bits": (8, 1024),
    "registers": (1, (1 << 15) - 1),
    "fetch_cycles": (1, 64),
    "pipeline_stages": (1, 64),
    "weight_sram_bytes": (1, 1 << 40),
    "pointer_sram_bytes": (1, 1 << 40),
    "activation_sram_bytes": (1, 1 << 40),
    "pointer_bits": (1, 64),
}


@dataclass(frozen=True)
class EieConfig:
    """EIE as published, at 45 nm (Han et al. 2016, arXiv 1602.01528, sections III to V), unless told otherwise.

    Attributes:
        pe_count: processing elements, 1 to 256; a power of four makes a full quadtree.
        fifo_depth: activations that an element's queue holds (figure 8: little is gained above 8).
        clock_hz: cycles in a second.
        index_bits: of the number of zeros before an entry.
        codebook_bits: of a weight's code; one code means zero.
        value_bits: of a decoded weight and of an activation, fixed point.
        line_bits: width of one read of the weight memory, several entries at once.
        registers: activations in each of an element's two register files. A layer with more inputs or
            outputs a piece is worked off in batches.
        fetch_cycles: from a broadcast to the first multiplication on an idle element: pointers, then a
            line of weights. One cycle each is our reading; the paper gives no figure.
        pipeline_stages: of the arithmetic unit, which the last entry still has to go through.
        weight_sram_bytes, pointer_sram_bytes, activation_sram_bytes: of one element.
        pointer_bits: of one column pointer. The paper's 16 bits address 65,536 entries, where its weight
            memory holds 131,072; here the memory is the limit.
        dram_bytes_per_cycle: at which what does not fit on chip comes and goes. The paper has no
            DRAM: 16 bytes a cycle are one channel of DDR3-1600 at 800 MHz, an assumption.
        sharing: `keep` uses a layer's weights as they are, and refuses more distinct values than the
            codebook holds; `cluster` finds the values by k-means; `auto` keeps where it can.
        overflow: weights that the memories do not hold are reloaded from DRAM for each sample, or refused.

    Raises:
        ValueError: a number out of its range.
    """

    pe_count: int = 64
    fifo_depth: int = 8
    clock_hz: float = 800e6
    index_bits: int = 4
    codebook_bits: int = 4
    value_bits: int = 16
    line_bits: int = 64
    registers: int = 64
    fetch_cycles: int = 2
    pipeline_stages: int = 4
    weight_sram_bytes: int = 128 * 1024
    pointer_sram_bytes: int = 32 * 1024
    activation_sram_bytes: int = 2 * 1024
    pointer_bits: int = 16
    dram_bytes_per_cycle: float = 16.0
    sharing: Sharing = "auto"
    overflow: Overflow = "reload"

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ValueError(f"EIE's {name} must be an integer from {least} to {most}, not {value!r}.")
        for name in ("clock_hz", "dram_bytes_per_cycle"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
                raise ValueError(f"EIE's {name} must be a finite number above 0, not {value!r}.")
        for name, choices in (("sharing", get_args(Sharing)), ("overflow", get_args(Overflow))):
            if getattr(self, name) not in choices:
                raise ValueError(f"EIE's {name} must be one of {list(choices)}, not {getattr(self, name)!r}.")
        if self.line_bits < self.entry_bits:
            raise ValueError(f"A line of {self.line_bits} bits does not hold an entry of {self.entry_bits}.")

    @property
    def entry_bits(self) -> int:
        """A code and a relative index."""
        return self.codebook_bits + self.index_bits

    @property
    def entries_per_line(self) -> int:
        """Entries that one read of the weight memory brings."""
        return self.line_bits // self.entry_bits

    @property
    def shared_values(self) -> int:
        """Non-zero values that a layer's codebook holds."""
        return (1 << self.codebook_bits) - 1

    @property
    def entries_per_pe(self) -> int:
        """Entries that one element's weight memory holds."""
        return self.weight_sram_bytes * 8 // self.entry_bits
