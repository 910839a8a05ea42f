"""Running a study cell by cell, so that nothing is done twice and little is lost when it is killed.

    <output>/<study>/cells/<key>.json      one a cell, written at once and whole
    <output>/<study>/<task>/result.json    all rows, findings, machine and versions
    <output>/<study>/<task>/plot.svg

What a key stands for is said in `notebook`, what the result holds in `record`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.training.loop import DivergedError
from harness.util.progress import progress_bar
from hw_targets.target import TargetError
from studies.lab import Lab
from studies.notebook import DamagedCellError, Notebook
from studies.record import facts_of, write_result
from studies.study import Cell, Plan, Row, Settings, Study

OVERHEAD = 0.3  # of an epoch, for the evaluations of a cell
Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What there is after a run.

    Attributes:
        done: cells that were run now.
        missing: cells that are still to be run.
        files: result and plot; none where there is no row yet.
    """

    done: int
    missing: int
    findings: Sequence[str]
    files: Sequence[Path]


def run_study(
    study: Study,
    lab: Lab,
    *,
    settings: Settings,
    seeds: Sequence[int],
    output: Path,
    limit: int | None = None,
    say: Say = print,
) -> Outcome:
    """Run the cells that are not done yet, and write the result; interrupted, too, of what there is.

    Args:
        limit: run no more cells than this; 0 only says how long it will take.
    """
    notebook, plan = Notebook.of(study, lab, output), study.plan(lab, settings, seeds)
    rows, failed, pending = _known(notebook, plan, say)
    say(f"{study.name} on {lab.task.name}: {len(plan.cells)} cells, {len(plan.cells) - len(pending)} done before.")
    chosen = pending[:limit]
    reference = _reference(notebook, lab) if chosen or rows else {}
    done = left_over = 0
    if not pending:
        say("It is finished; nothing is run again.")
    else:
        rate = _seconds_per_epoch(study, rows) or lab.seconds_per_epoch()
        say(f"To do: about {duration(_left(study, pending, rate))} ({rate:.1f} s for a pass over the training data).")
    try:
        with _progress(study, lab, chosen) as bar:
            for cell in chosen:
                try:
                    outcome = _known_by_now(notebook, cell) or _run(study, replace(lab, on_samples=bar), cell, notebook)
                except TargetError as error:  # a busy machine: no result, so that the next run tries again
                    left_over += 1
                    say(f"{describe(cell)}: not measured, and left for the next run: {error}")
                    continue
                done += 1
                bar.settle(_samples(study, lab, cell))
                if isinstance(outcome, Row):
                    rows.append(outcome)
                else:
                    failed[describe(cell)] = outcome
                rate = _seconds_per_epoch(study, rows) or rate
                left = duration(_left(study, pending[done + left_over :], rate))
                say(f"[{done}/{len(chosen)}] {describe(cell)}: {_brief(outcome)}; about {left} left")
    finally:
        order = {json.dumps(cell, sort_keys=True): place for place, cell in enumerate(plan.cells)}
        rows.sort(key=lambda row: order[json.dumps(row.cell, sort_keys=True)])
        files: list[Path] = []
        found: list[str] = []
        if rows:
            facts = facts_of(study, lab, settings, seeds, plan, failed, rows, reference)
            found, files = write_result(study, facts, notebook.folder / lab.task.name)
    return Outcome(done, len(pending) - done, found, files)


def describe(cell: Cell) -> str:
    """The parameters of a cell in a line."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in cell.items()
    )


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _known(notebook: Notebook, plan: Plan, say: Say) -> tuple[list[Row], dict[str, str], list[Cell]]:
    rows: list[Row] = []
    failed: dict[str, str] = {}
    pending: list[Cell] = []
    for cell in plan.cells:
        try:
            known = notebook.read(cell)
        except DamagedCellError as error:
            say(f"{notebook.path(cell)} is damaged ({error}); the cell is run again.")
            known = None
        if known is None:
            pending.append(cell)
        elif isinstance(known, Row):
            rows.append(known)
        else:
            failed[describe(cell)] = known
    return rows, failed, pending


def _reference(notebook: Notebook, lab: Lab) -> dict[str, float]:
    """The dense network's own accuracies: a cell like any other, so that they are measured once."""
    cell = {"reference": lab.reference_sha256}
    known = _known_by_now(notebook, cell)
    if isinstance(known, Row):
        return dict(known.numbers)
    began, numbers = time.perf_counter(), lab.judge(lab.model())
    notebook.write(cell, numbers=numbers, time_s=round(time.perf_counter() - began, 3))
    return numbers


def _known_by_now(notebook: Notebook, cell: Cell) -> Row | str | None:
    """What another process may have found since the start."""
    try:
        return notebook.read(cell)
    except DamagedCellError:
        return None


def _run(study: Study, lab: Lab, cell: Cell, notebook: Notebook) -> Row | str:
    began = time.perf_counter()
    try:
        numbers = {name: float(value) for name, value in study.run_cell(lab, cell).items()}
    except DivergedError as error:  # a result too: the same cell would diverge again
        notebook.write(cell, failed=str(error))
        return str(error)
    time_s = round(time.perf_counter() - began, 3)
    notebook.write(cell, numbers=numbers, time_s=time_s)
    return Row(json.loads(json.dumps(cell)), numbers, time_s)


def _seconds_per_epoch(study: Study, rows: Sequence[Row]) -> float | None:
    """From the cells done, each counted with its overhead; None without any."""
    return sum(row.time_s for row in rows) / _cost(study, [row.cell for row in rows]) if rows else None


def _left(study: Study, cells: Sequence[Cell], rate: float) -> float:
    return rate * _cost(study, cells)


def _cost(study: Study, cells: Sequence[Cell]) -> float:
    return sum(study.epochs(cell) + OVERHEAD for cell in cells)


@dataclass
class _Bar:
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
def _progress(study: Study, lab: Lab, cells: Sequence[Cell]) -> Iterator[_Bar]:
    samples = sum(_samples(study, lab, cell) for cell in cells)
    if not cells:
        yield _Bar(lambda step: None)
        return
    with progress_bar(f"Study {study.name}", samples, unit="samples") as advance:
        yield _Bar(advance)


def _samples(study: Study, lab: Lab, cell: Cell) -> int:
    return round((study.epochs(cell) + OVERHEAD) * len(lab.data.train))


def _brief(outcome: Row | str) -> str:
    if isinstance(outcome, str):
        return f"failed: {outcome}"
    numbers = list(outcome.numbers.items())[:6]
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers) + f" in {duration(outcome.time_s)}"
