"""When each processing element works: a recurrence over activations, exact to the cycle.

The j-th non-zero activation is broadcast at cycle B_j, and element k works on it from S_jk to F_jk:

    B_j  = max(B_{j−1} + 1, max_k S_{j−depth, k})      no queue may be full
    S_jk = max(B_j + fetch, F_{j−1, k} + 1)
    F_jk = S_jk + max(1, entries_jk) − 1               an empty column still costs a cycle

An activation leaves its queue when the element starts on it, and a slot that was left can be filled
in the same cycle. Finding the next non-zero activation takes no longer however many zeros lie between
(the quadtree of section IV), so broadcasts come every cycle at best. `fetch` is the time to read the
column's pointers and its first line, hidden while the element still works on an earlier activation.

N·registers activations lie in the source registers at once. Before the first of the next such batch
they are refilled from the activation memory, a word a cycle, which delays its broadcast; what is in
the queues goes on. (The paper says that there are batches, not what they cost.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from hw_targets.eie.config import EieConfig
from hw_targets.eie.layout import Layout


@dataclass(frozen=True)
class Activity:
    """What happened while vectors were multiplied; each an int64 array, one number a vector.

    Attributes:
        cycles: from the first broadcast to the last write-back.
        stalled: cycles that a broadcast waited because a queue was full.
        broadcasts: non-zero activations sent, once for each batch of rows.
        entries: worked off by all elements, padding included.
        lines: reads of the weight memory. A line that is still in the element's line register, because
            the column before ended in it, is not read again.
    """

    cycles: np.ndarray
    stalled: np.ndarray
    broadcasts: np.ndarray
    entries: np.ndarray
    lines: np.ndarray


def run(layout: Layout, active: np.ndarray, first: np.ndarray, config: EieConfig) -> Activity:
    """Multiply the matrix by vectors, one at a time.

    Args:
        active: int32, columns whose activation is not zero, in rising order, vector after vector.
        first: int64 `[vectors + 1]`, where each vector's begin in `active`, and the end.
    """
    vectors = len(first) - 1
    total = np.zeros((5, vectors), np.int64)
    machine = (config.fifo_depth, config.fetch_cycles, config.registers * config.pe_count, config.registers)
    for batch in layout.batches:
        layout_of = (batch.work, batch.first_line, batch.last_line, batch.column_entries, batch.column_lines)
        if vectors == 1:
            found = np.array(_run_vector(active, layout_of, machine)).reshape(4, 1)
        else:
            found = np.zeros((4, vectors), np.int64)
            _run_vectors(active, first, layout_of, machine, found)
        total[0] += found[0] + config.pipeline_stages - 1
        total[1] += found[1]
        total[2] += np.diff(first)
        total[3:] += found[2:]
    total[0] += (len(layout.batches) - 1) * config.registers  # sums are written out before the next rows
    total[0] = np.maximum(total[0], 1)
    return Activity(*total)


@numba.njit(parallel=True, cache=True)
def _run_vectors(active, first, layout, machine, found):  # type: ignore[no-untyped-def]
    for vector in numba.prange(found.shape[1]):
        columns = active[first[vector] : first[vector + 1]]
        cycles, stalled, entries, lines = _run_vector(columns, layout, machine)
        found[0, vector], found[1, vector], found[2, vector], found[3, vector] = cycles, stalled, entries, lines


@numba.njit(cache=True)
def _run_vector(columns, layout, machine):  # type: ignore[no-untyped-def]
    """Cycles until the last entry is worked off, cycles that broadcasts waited, entries, reads of lines."""
    work, first_line, last_line, column_entries, column_lines = layout
    cycles, stalled = _time(columns, work, machine)
    entries, lines = np.int64(0), np.int64(0)
    for column in columns:
        entries += column_entries[column]
        lines += column_lines[column]
    return cycles, stalled, entries, lines - _lines_held(columns, first_line, last_line)


@numba.njit(cache=True)
def _time(columns, work, machine):  # type: ignore[no-untyped-def]
    """The recurrence; int32 throughout, which the compiler turns into vector instructions."""
    depth, fetch, held, refill = machine
    pe_count = work.shape[1]
    free = np.zeros(pe_count, np.int32)  # F + 1
    started = np.zeros(depth, np.int32)  # latest start of each of the last `depth` activations
    broadcast = np.int32(-1)
    stalled = np.int64(0)
    slot = 0
    limit = np.int64(held)
    for column in columns:
        earliest = np.int32(broadcast + 1)
        if column >= limit:
            earliest = np.int32(earliest + refill * ((column - limit) // held + 1))
            limit = np.int64((column // held + 1) * held)
        broadcast = max(earliest, started[slot])
        stalled += broadcast - earliest
        ready = np.int32(broadcast + fetch)
        row = work[column]
        latest = np.int32(0)
        for pe in range(pe_count):
            start = max(ready, free[pe])
            free[pe] = np.int32(start + np.int32(row[pe]))
            latest = max(latest, start)
        started[slot] = latest
        slot = slot + 1 if slot + 1 < depth else 0
    return free.max(), stalled


@numba.njit(cache=True)
def _lines_held(columns, first_line, last_line):  # type: ignore[no-untyped-def]
    """How often a column's first line is still in the line register; lines rise with the columns."""
    pe_count = first_line.shape[1]
    held = np.full(pe_count, -1, first_line.dtype)
    again = np.zeros(pe_count, np.int32)
    for column in columns:
        begin, end = first_line[column], last_line[column]
        for pe in range(pe_count):
            again[pe] = np.int32(again[pe] + np.int32(begin[pe] == held[pe]))
            held[pe] = max(held[pe], end[pe])
    return again.sum()
