"""`openprune study`: list the studies, or run one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.complete import completes_with, task_names
from harness.util.names import UnknownNameError, UsageError
from studies import MACHINES, STUDIES

if TYPE_CHECKING:
    from harness.tasks.task import Task
    from studies.study import Study

DEFAULT_TASK = "mnist_lenet300"
DEFAULT_OUTPUT = Path("results") / "studies"
SEVERAL_SEEDS_BELOW_MACS = 1_000_000  # where training is cheap, three seeds; elsewhere one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="the study; without one, they are listed")
    task = parser.add_argument("--task", default=DEFAULT_TASK, metavar="NAME", help=f"default: {DEFAULT_TASK}")
    completes_with(task, task_names)
    parser.add_argument("--seeds", metavar="0,1,2", help="default: 0,1,2 on small tasks, 0 on others")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the study; repeatable"
    )
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR", help=f"default: {DEFAULT_OUTPUT}")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the training; default: torch's choice")
    parser.add_argument("--max", type=int, metavar="N", help="run no more than N cells now")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--plan", action="store_true", help="only say what would be run, and how long it would take")
    other.add_argument(
        "--redraw",
        action="store_true",
        help="findings and plot anew from result.json (of all, without a name); nothing is run",
    )


def execute(args: argparse.Namespace) -> int:
    if args.name is None:
        return _redraw_all(args.output) if args.redraw else _list(args.output)
    if args.name in MACHINES:
        return _reproduce(args)
    study = find_study(args.name)
    if args.redraw:
        return _redraw(study, args.task, args.output)
    from studies.lab import Lab
    from studies.runner import describe, run_study

    settings, chosen = with_overrides(study, args.task, args.set), _seeds(args.seeds)
    if args.max is not None and args.max < 0:
        raise UsageError(f"--max is a number of cells, 0 or more, not {args.max}.")
    if args.threads is not None:
        import torch

        torch.set_num_threads(max(args.threads, 1))
    lab = Lab.open(args.task)
    seeds = chosen or default_seeds(lab.task)
    try:
        if args.plan:
            plan = study.plan(lab, settings, seeds)
            for cell in plan.cells:
                print(describe(cell))
            for name, why in plan.left_out.items():
                print(f"Left out: {name}: {why}")
        outcome = run_study(
            study, lab, settings=settings, seeds=seeds, output=args.output, limit=0 if args.plan else args.max
        )
    except ValueError as error:
        if not args.set:
            raise
        raise UsageError(f"{study.name} does not run with {', '.join(args.set)}: {error}") from error
    _show(outcome.findings, outcome.files, args.output)
    if outcome.missing:
        print(f"Still to be run: {outcome.missing} of the cells; the same command goes on with them.")
    return 0


def find_study(name: str) -> Study:
    """The study called `name`.

    Raises:
        UnknownNameError: there is none; the message names the nearest.
    """
    from importlib import import_module

    if name not in STUDIES:
        raise UnknownNameError("study", name, [*STUDIES, *MACHINES])
    study: Study = import_module(f"studies.{name}").STUDY
    return study


def with_overrides(study: Study, task: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The study's settings for `task`, with `KEY=VALUE` put in; values are YAML, of the default's kind.

    Raises:
        UsageError: an override without "=", of an unknown key, or of another kind than the default.
    """
    import yaml

    settings = study.settings_for(task)
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} is no setting; write --set KEY=VALUE.")
        if key not in settings:
            raise UnknownNameError(f"setting of {study.name}", key, settings)
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {text}: the value is not YAML ({error}).") from error
        kind = type(settings[key])
        if kind is float and isinstance(read, int) and not isinstance(read, bool):
            read = float(read)
        if not isinstance(read, kind):
            raise UsageError(f"--set {text}: {key} takes a value of type {kind.__name__}, such as {settings[key]!r}.")
        settings[key] = read
    return settings


def default_seeds(task: Task) -> list[int]:
    """Three where training is cheap, else one, so that only the test set's own error is known."""
    return [0, 1, 2] if task.macs < SEVERAL_SEEDS_BELOW_MACS else [0]


def _seeds(text: str | None) -> list[int]:
    try:
        return [int(seed) for seed in text.split(",")] if text else []
    except ValueError:
        raise UsageError(f"--seeds takes whole numbers, such as 0,1,2; not {text!r}.") from None


def _list(output: Path) -> int:
    from harness.cli.output import make_table, show_table

    rows = [(name, shows, _taken(output / name)) for name, shows in (STUDIES | MACHINES).items()]
    show_table(make_table(("study", "what it shows", "time it took"), rows))
    print(f"openprune study NAME [--task {DEFAULT_TASK}] runs one; with --plan it only says how long that takes.")
    return 0


def _taken(folder: Path) -> str:
    """From the results in `folder`: how long they took and on which task."""
    told = []
    for file in sorted(folder.glob("*/result.json")):
        try:
            facts: Mapping[str, Any] = json.loads(file.read_text())
            minutes = sum(row["time_s"] for row in facts["cells"]) / 60
            told.append(f"{facts['task']}: {minutes:.1f} min, cells: {len(facts['cells'])}")
        except (ValueError, KeyError, TypeError):
            told.append(f"{file} is damaged")
    return "; ".join(told) or "not run yet"


def _reproduce(args: argparse.Namespace) -> int:
    from importlib import import_module

    given = (args.set, args.plan, args.max is not None, args.threads, args.task != DEFAULT_TASK)
    if any(given):
        raise UsageError(f"The study {args.name} takes a minute and has no settings: --seeds and --output alone apply.")
    report = import_module(f"studies.{args.name}_report")
    if args.redraw:
        findings, files = _drawn_anew(args.output / args.name / report.FOLDER / "result.json", args.output)
    else:
        findings, files = report.reproduce(args.output, _seeds(args.seeds) or [0, 1, 2])
    _show(findings, files, args.output)
    return 0


def _redraw(study: Study, task: str, output: Path) -> int:
    findings, files = _drawn_anew(output / study.name / task / "result.json", output)
    _show(findings, files, output)
    return 0


def _redraw_all(output: Path) -> int:
    """Draw every result in `output` anew, and tell what is said now that was not said before."""
    from studies.gallery import write_gallery

    records = [file for name in STUDIES | MACHINES for file in sorted((output / name).glob("*/result.json"))]
    if not records:
        raise UsageError(f"There is no result in {output} yet: run a study first.")
    for record in records:
        text = record.read_text()
        findings, _ = _drawn_anew(record, output)
        before = json.loads(text).get("findings", [])
        print(f"{record}: {'changed' if before != findings else 'as it was'}")
        for finding in findings:
            if finding not in before:
                print(f"- {finding}")
    print(write_gallery(output))
    return 0


def _drawn_anew(record: Path, output: Path) -> tuple[list[str], list[Path]]:
    """Findings and plot anew, from the numbers of the `result.json` at `record`."""
    from importlib import import_module

    from studies.record import redraw

    name = record.parent.parent.name
    try:
        if name in MACHINES:
            findings, files = import_module(f"studies.{name}_report").redraw(output)
        else:
            findings, files = redraw(find_study(name), record.parent)
    except FileNotFoundError as error:
        raise UsageError(f"There is no {record} yet: run the study first.") from error
    except (ValueError, KeyError) as error:
        raise UsageError(f"{record} cannot be drawn anew: {error}") from error
    return findings, files


def _show(findings: Sequence[str], files: Sequence[Path], output: Path) -> None:
    """Print what was found; where files were written, the page of all results is, too."""
    from studies.gallery import write_gallery

    if files:
        files = [*files, write_gallery(output)]
    for sentence in findings:
        print(f"- {sentence}")
    for file in files:
        print(file)
