"""How far a study is and how long it will take, counted in passes over the training data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from harness.util.progress import progress_bar
from studies.lab import Lab
from studies.study import Cell, Row, Study

OVERHEAD = 0.3  # of an epoch, for the evaluations of a cell


@dataclass
class Bar:
    """Moves with every batch, and at the end of a cell to where the cell was expected to come."""

    advance: Callable[[int], None]
    counted: int = 0

    def __call__(self, samples: int) -> None:
        self.counted += samples
        self.advance(samples)

    def settle(self, expected: int) -> None:
        self.advance(expected - self.counted)
        self.counted = 0


@contextmanager
def shown(study: Study, lab: Lab, cells: Sequence[Cell]) -> Iterator[Bar]:
    """A progress bar over `cells`; none where there are none."""
    if not cells:
        yield Bar(lambda step: None)
        return
    with progress_bar(f"Study {study.name}", sum(samples_of(study, lab, c) for c in cells), unit="samples") as advance:
        yield Bar(advance)


def samples_of(study: Study, lab: Lab, cell: Cell) -> int:
    """How many samples a cell is expected to cost, evaluations counted in."""
    return round((study.epochs(cell) + OVERHEAD) * len(lab.data.train))


def seconds_per_epoch(study: Study, rows: Sequence[Row]) -> float | None:
    """From the cells done, each counted with its overhead; None without any."""
    return sum(row.time_s for row in rows) / _cost(study, [row.cell for row in rows]) if rows else None


def seconds_left(study: Study, cells: Sequence[Cell], rate: float) -> float:
    """How long `cells` take at `rate` seconds an epoch."""
    return rate * _cost(study, cells)


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _cost(study: Study, cells: Sequence[Cell]) -> float:
    return sum(study.epochs(cell) + OVERHEAD for cell in cells)
