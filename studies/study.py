"""What a study is, and what it leaves: plain values, so that a result outlives the code that made it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from studies.lab import Lab

Cell = Mapping[str, Any]  # JSON-able parameters; all that its result depends on, but the task and the code
Numbers = Mapping[str, float]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is to be run, and what does not apply to this task.

    Attributes:
        left_out: name of a technique → why it has no cell.
    """

    cells: Sequence[Cell]
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A cell that was run, what came out, and how long it took.

    Attributes:
        made_with: `created`, `environment` and `methodology`; empty in results of schema 1, which did not keep it.
    """

    cell: Cell
    numbers: Numbers
    time_s: float
    made_with: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The rows of a study so far.

    Attributes:
        reference: the dense network's accuracy on the test set, in 0…1.
        test_samples: in the test set.
    """

    task: str
    reference: float
    test_samples: int
    rows: Sequence[Row]

    def values(self, number: str, **where: Any) -> dict[int, float]:
        """Seed → `numbers[number]` of the rows whose cell has these parameters; a cell without a seed counts as 0."""
        return {
            int(row.cell.get("seed", 0)): row.numbers[number]
            for row in self.rows
            if number in row.numbers and all(row.cell.get(name) == value for name, value in where.items())
        }

    def choices(self, parameter: str, **where: Any) -> list[Any]:
        """The values of `parameter` that occur in such rows, in the order in which they come first."""
        rows = (row.cell for row in self.rows if all(row.cell.get(name) == value for name, value in where.items()))
        return list(dict.fromkeys(cell[parameter] for cell in rows if parameter in cell))


@dataclass(frozen=True)
class Study:
    """A question and how it is answered.

    Attributes:
        settings: parameters that the user may change, with their defaults.
        for_task: task → defaults that differ there.
        plan: `(lab, settings, seeds) → Plan`.
        epochs: what a cell costs, in passes over the training data; for the estimate of time.
        run_cell: does a cell, by itself: cells may run in any order, or in several processes.
        findings: sentences that follow from the numbers, from part of them too.
        measures: cells time something, so that their numbers are of one machine.
    """

    name: str
    question: str
    settings: Settings
    plan: Callable[[Lab, Settings, Sequence[int]], Plan]
    epochs: Callable[[Cell], float]
    run_cell: Callable[[Lab, Cell], Numbers]
    findings: Callable[[Result], list[str]]
    plot: Callable[[Result], Figure]
    for_task: Mapping[str, Settings] = field(default_factory=dict)
    measures: bool = False

    def settings_for(self, task: str) -> dict[str, Any]:
        """The defaults for `task`."""
        return {**self.settings, **self.for_task.get(task, {})}
