"""EIE one cycle after the other, as plainly as can be: the oracle of the closed recurrence.

Nothing is shared with the simulator but the machine's description.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from hw_targets.eie import EieConfig


@dataclass
class Element:
    """One processing element: its memory, queue, line register and accumulators."""

    memory: list[tuple[int, int]]  # (weight, zeros before it)
    pointers: list[int]
    queue: deque = field(default_factory=deque)  # (column, activation, cycle of the broadcast)
    todo: list = field(default_factory=list)  # entries of the column at work; None stands for an empty column
    held: int = -1
    lines: int = 0
    entries: int = 0


@dataclass
class Run:
    """What happened, all batches of rows together."""

    cycles: int = 0
    stalled: int = 0
    broadcasts: int = 0
    entries: int = 0
    lines: int = 0


def encode(rows: np.ndarray, longest: int) -> Element:
    """The memory of one element, by the rule of section III.B."""
    memory, pointers = [], [0]
    for column in rows.T:
        zeros = 0
        for weight in column:
            if weight == 0:
                zeros += 1
                continue
            while zeros > longest:
                memory.append((0, longest))
                zeros -= longest + 1
            memory.append((int(weight), zeros))
            zeros = 0
        pointers.append(len(memory))
    return Element(memory, pointers)


def step_through(weight: np.ndarray, vector: np.ndarray, config: EieConfig) -> tuple[Run, np.ndarray]:
    """Multiply an integer matrix by an integer vector: what happened, and the exact sums."""
    total, sums = Run(), []
    height = config.registers * config.pe_count
    for begin in range(0, len(weight), height):
        if begin:
            total.cycles += config.registers  # the sums are written out
        sums.append(_batch(weight[begin : begin + height], vector, config, total))
    return total, np.concatenate(sums)


def _batch(weight: np.ndarray, vector: np.ndarray, config: EieConfig, total: Run) -> np.ndarray:
    elements = [encode(weight[pe :: config.pe_count], 2**config.index_bits - 1) for pe in range(config.pe_count)]
    sums = [[0] * len(weight[pe :: config.pe_count]) for pe in range(config.pe_count)]
    held = config.registers * config.pe_count
    waiting = [(column, int(a)) for column, a in enumerate(vector) if a]
    batch, allowed, cycle, last = 0, 0, 0, -1
    if waiting:
        batch, allowed = waiting[0][0] // held, config.registers * (waiting[0][0] // held)
    while waiting or any(element.queue or element.todo for element in elements):
        for pe, element in enumerate(elements):
            if not element.todo and element.queue and element.queue[0][2] + config.fetch_cycles <= cycle:
                column, activation, _ = element.queue.popleft()
                row = -1
                for place in range(element.pointers[column], element.pointers[column + 1]):
                    value, zeros = element.memory[place]
                    row += zeros + 1
                    element.todo.append((place, row, value * activation))
                if not element.todo:
                    element.todo.append(None)
            if element.todo:
                last = cycle
                entry = element.todo.pop(0)
                if entry is not None:
                    place, row, product = entry
                    element.entries += 1
                    element.lines += place // config.entries_per_line != element.held
                    element.held = place // config.entries_per_line
                    sums[pe][row] += product
        if waiting and cycle >= allowed:
            if all(len(element.queue) < config.fifo_depth for element in elements):
                column, activation = waiting.pop(0)
                for element in elements:
                    element.queue.append((column, activation, cycle))
                total.broadcasts += 1
                allowed = cycle + 1
                if waiting and waiting[0][0] // held > batch:
                    allowed += config.registers * (waiting[0][0] // held - batch)
                    batch = waiting[0][0] // held
            else:
                total.stalled += 1
        cycle += 1
    total.cycles += last + 1 + config.pipeline_stages - 1
    total.entries += sum(element.entries for element in elements)
    total.lines += sum(element.lines for element in elements)
    result = np.zeros(len(weight), np.int64)
    for pe in range(config.pe_count):
        result[pe :: config.pe_count] = sums[pe]
    return result
