"""Running a study cell by cell, so that nothing is done twice and little is lost when it is killed.

    <output>/<study>/cells/<key>.json      one a cell, written at once and whole
    <output>/<study>/<task>/result.json    all rows, findings, machine and versions
    <output>/<study>/<task>/plot.svg

A cell's key stands for its parameters, the task with its reference, and the sources that its
numbers depend on: the study's own file, what all studies do with a task (`lab`), the techniques and
the training loop. Not for plots and wording: `redraw` makes both anew from the numbers.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.entries import REPOSITORY, hash_sources
from harness.environment import describe_environment
from harness.progress import progress_bar
from harness.store import stage_key, write_atomically
from harness.training.loop import DivergedError
from studies.lab import Lab
from studies.plots import to_svg
from studies.study import Cell, Plan, Result, Row, Settings, Study

SCHEMA = "openprune.study/1"
OVERHEAD = 0.3  # of an epoch, for the evaluations of a cell
Say = Callable[[str], None]


class DamagedCellError(ValueError):
    """A cell's file is not what was written."""


@dataclass(frozen=True)
class Notebook:
    """Where one study on one task keeps its cells.

    Attributes:
        folder: `<output>/<study>`.
        basis: what all keys depend on.
    """

    folder: Path
    basis: Mapping[str, Any]

    @classmethod
    def of(cls, study: Study, lab: Lab, output: Path) -> Notebook:
        harness, studies = REPOSITORY / "harness", REPOSITORY / "studies"
        sources = [
            studies / f"{study.name}.py",
            studies / "lab.py",
            REPOSITORY / "pruning",
            harness / "training",
            harness / "run" / "context.py",
        ]
        basis = {
            "study": study.name,
            "task": f"{lab.task.name}/{lab.task.version}",
            "reference": lab.reference_sha256,
            "sources": hash_sources(sources),
        }
        return cls(output / study.name, basis)

    def path(self, cell: Cell) -> Path:
        return self.folder / "cells" / f"{stage_key({**self.basis, 'cell': cell})}.json"

    def read(self, cell: Cell) -> Row | str | None:
        """The row of `cell`, or why it failed for good; None where it has not been run.

        Raises:
            DamagedCellError: there is a file, but it does not hold this cell's result.
        """
        path = self.path(cell)
        if not path.is_file():
            return None
        try:
            read = json.loads(path.read_text())
            if read["cell"] != json.loads(json.dumps(cell)):
                raise DamagedCellError("it is of another cell")
            if "failed" in read:
                return str(read["failed"])
            numbers = {str(name): float(value) for name, value in read["numbers"].items()}
            if not numbers or not all(map(math.isfinite, numbers.values())):
                raise DamagedCellError("its numbers are not finite")
            return Row(read["cell"], numbers, float(read["time_s"]))
        except DamagedCellError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedCellError(f"{type(error).__name__}: {error}") from error

    def write(self, cell: Cell, **outcome: Any) -> None:
        write_atomically(self.path(cell), json.dumps({"cell": cell, **outcome}, indent=1) + "\n")


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
    done = 0
    if not pending:
        say("It is finished; nothing is run again.")
    else:
        rate = _seconds_per_epoch(study, rows) or lab.seconds_per_epoch()
        say(f"To do: about {duration(_left(study, pending, rate))} ({rate:.1f} s for a pass over the training data).")
    try:
        with _progress(study, lab, chosen) as bar:
            for cell in chosen:
                outcome = _known_by_now(notebook, cell) or _run(study, replace(lab, on_samples=bar), cell, notebook)
                done += 1
                bar.settle(_samples(study, lab, cell))
                if isinstance(outcome, Row):
                    rows.append(outcome)
                else:
                    failed[describe(cell)] = outcome
                rate = _seconds_per_epoch(study, rows) or rate
                left = duration(_left(study, pending[done:], rate))
                say(f"[{done}/{len(chosen)}] {describe(cell)}: {_brief(outcome)}; about {left} left")
    finally:
        order = {json.dumps(cell, sort_keys=True): place for place, cell in enumerate(plan.cells)}
        rows.sort(key=lambda row: order[json.dumps(row.cell, sort_keys=True)])
        files: list[Path] = []
        found: list[str] = []
        if rows:
            facts = _facts(study, lab, settings, seeds, plan, failed, rows)
            found, files = write_result(study, facts, notebook.folder / lab.task.name)
    return Outcome(done, len(pending) - done, found, files)


def write_result(study: Study, facts: Mapping[str, Any], folder: Path) -> tuple[list[str], list[Path]]:
    """Write `result.json` and `plot.svg` into `folder`; findings and plot are made from the rows in `facts`.

    Returns:
        The findings, and the two files.
    """
    result = Result(
        facts["task"],
        facts["reference"]["test"],
        facts["test_samples"],
        [Row(row["cell"], row["numbers"], row["time_s"]) for row in facts["cells"]],
    )
    findings = study.findings(result)
    record, picture = folder / "result.json", folder / "plot.svg"
    write_atomically(record, json.dumps({**facts, "findings": findings}, indent=1, ensure_ascii=False) + "\n")
    write_atomically(picture, to_svg(study.plot(result)))
    return findings, [record, picture]


def redraw(study: Study, folder: Path) -> tuple[list[str], list[Path]]:
    """Findings and plot anew, from the numbers of the `result.json` in `folder`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is of another schema or study.
    """
    facts = json.loads((folder / "result.json").read_text())
    if facts.get("schema") != SCHEMA or facts.get("study") != study.name:
        raise ValueError(f"{folder / 'result.json'} is no result of the study {study.name} in schema {SCHEMA}.")
    return write_result(study, facts, folder)


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


def _facts(
    study: Study,
    lab: Lab,
    settings: Settings,
    seeds: Sequence[int],
    plan: Plan,
    failed: Mapping[str, str],
    rows: Sequence[Row],
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "study": study.name,
        "question": study.question,
        "task": lab.task.name,
        "task_version": lab.task.version,
        "reference": {"sha256": lab.reference_sha256, **lab.judge(lab.model())},
        "test_samples": len(lab.data.test),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": describe_environment(),
        "settings": dict(settings),
        "seeds": list(seeds),
        "complete": len(rows) + len(failed) == len(plan.cells),
        "left_out": dict(plan.left_out),
        "failed": dict(failed),
        "cells": [{"cell": dict(row.cell), "numbers": dict(row.numbers), "time_s": row.time_s} for row in rows],
    }
