"""Running a study cell by cell, so that nothing is done twice and little is lost when it is killed.

    <store>/cell/<key>/stage.json          one a cell, written at once and whole
    <output>/<study>/<task>/result.json    all rows, findings, machines and versions
    <output>/<study>/<task>/plot.svg

What a key stands for is said in `cells`, what the result holds in `record`. Several processes may run the same
study on one store: each takes the cells that no other is at, and waits for those only at the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from harness.store.store import StageBusyError, Store
from hw_targets.target import TargetError
from studies.cells import Cells, DamagedCellError
from studies.lab import Lab
from studies.progress import Bar, duration, samples_of, seconds_left, seconds_per_epoch, shown
from studies.record import facts_of, write_result
from studies.study import Cell, Plan, Row, Settings, Study

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What there is after a run.

    Attributes:
        done: cells that were run now, here or in another process.
        missing: cells that are still to be run.
        files: result and plot; none where there is no row yet.
    """

    done: int
    missing: int
    findings: Sequence[str]
    files: Sequence[Path]


@dataclass
class _State:
    """What is known of a plan's cells so far: rows, why others failed for good, and those still to be run."""

    rows: list[Row] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    pending: list[Cell] = field(default_factory=list)

    def take(self, cell: Cell, outcome: Row | str) -> None:
        if isinstance(outcome, Row):
            self.rows.append(outcome)
        else:
            self.failed[describe(cell)] = outcome


def run_study(
    study: Study,
    lab: Lab,
    *,
    settings: Settings,
    seeds: Sequence[int],
    store: Store,
    output: Path,
    limit: int | None = None,
    say: Say = print,
) -> Outcome:
    """Run the cells that are not done yet, and write the result; interrupted, too, of what there is.

    Args:
        limit: run no more cells than this; 0 only says how long it will take.

    Raises:
        OSError: store or output cannot be written; the cells done until then are kept.
    """
    cells, plan = Cells.of(study, lab, store), study.plan(lab, settings, seeds)
    state = _known(cells, plan, say)
    before, chosen = len(state.pending), state.pending[:limit]
    say(f"{study.name} on {lab.task.name}: {len(plan.cells)} cells, {len(plan.cells) - before} done before.")
    reference = _reference(cells, lab) if chosen or state.rows else {}
    rate = 0.0
    if not state.pending:
        say("It is finished; nothing is run again.")
    else:
        rate = seconds_per_epoch(study, state.rows) or lab.seconds_per_epoch()
        left = duration(seconds_left(study, state.pending, rate))
        say(f"To do: about {left} ({rate:.1f} s for a pass over the training data).")
    files: list[Path] = []
    found: list[str] = []
    try:
        with shown(study, lab, chosen) as bar:
            _run_all(study, lab, cells, chosen, state, rate, bar, say)
    finally:
        if state.rows:
            rows = _in_order(state.rows, plan)
            facts = facts_of(study, lab, settings, seeds, plan, state.failed, rows, reference)
            found, files = write_result(study, facts, output / study.name / lab.task.name)
    return Outcome(before - len(state.pending), len(state.pending), found, files)


def describe(cell: Cell) -> str:
    """The parameters of a cell in a line."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in cell.items()
    )


def _known(cells: Cells, plan: Plan, say: Say) -> _State:
    state = _State()
    for cell in plan.cells:
        try:
            known = cells.read(cell)
        except DamagedCellError as error:
            say(f"{cells.path(cell)} is damaged ({error}); the cell is run again.")
            known = None
        if known is None:
            state.pending.append(cell)
        else:
            state.take(cell, known)
    return state


def _reference(cells: Cells, lab: Lab) -> dict[str, float]:
    """The dense network's own accuracies: a cell like any other, so that they are measured once."""
    outcome = cells.run({"reference": lab.reference_sha256}, lambda: lab.judge(lab.model()))
    if not isinstance(outcome, Row):
        raise ValueError(f"the reference cannot be judged: {outcome}")
    return dict(outcome.numbers)


def _run_all(
    study: Study, lab: Lab, cells: Cells, chosen: Sequence[Cell], state: _State, rate: float, bar: Bar, say: Say
) -> None:
    """Run `chosen`, those last that other processes are at; what cannot be measured now stays pending.

    Args:
        rate: seconds an epoch, until cells done tell it better.
    """
    at_work = replace(lab, on_samples=bar)
    busy: list[Cell] = []
    done = 0
    for wait, batch in ((False, chosen), (True, busy)):
        for cell in batch:
            try:
                outcome = cells.run(cell, partial(study.run_cell, at_work, cell), wait=wait)
            except StageBusyError:
                busy.append(cell)
                continue
            except TargetError as error:  # a busy machine: no result, so that the next run tries again
                say(f"{describe(cell)}: not measured, and left for the next run: {error}")
                continue
            bar.settle(samples_of(study, lab, cell))
            state.take(cell, outcome)
            state.pending.remove(cell)
            done += 1
            rate = seconds_per_epoch(study, state.rows) or rate
            left = duration(seconds_left(study, state.pending, rate))
            say(f"[{done}/{len(chosen)}] {describe(cell)}: {_brief(outcome)}; about {left} left")


def _in_order(rows: Sequence[Row], plan: Plan) -> list[Row]:
    order = {json.dumps(cell, sort_keys=True): place for place, cell in enumerate(plan.cells)}
    return sorted(rows, key=lambda row: order[json.dumps(row.cell, sort_keys=True)])


def _brief(outcome: Row | str) -> str:
    if isinstance(outcome, str):
        return f"failed: {outcome}"
    numbers = list(outcome.numbers.items())[:6]
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers) + f" in {duration(outcome.time_s)}"
