"""`openprune study`: list the studies, or run one."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.complete import completes_with, task_names
from harness.cli.reading import add_store_argument, store_root
from harness.util.names import UsageError
from studies import MACHINES, STUDIES, find_study

if TYPE_CHECKING:
    from harness.tasks.task import Task
    from studies.study import Study

DEFAULT_OUTPUT = Path("results") / "studies"
SEVERAL_SEEDS_BELOW_MACS = 1_000_000  # where training is cheap, three seeds; elsewhere one
FORMER = ("task", "seeds", "set")  # options that are written key=value now


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_argument(
        "overrides",
        nargs="*",
        metavar="NAME key=value",
        help="the study, then task=cifar10_resnet20 'seeds=[0,1]' and its settings; without a name, they are listed",
    )
    completes_with(words, _completions)
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR", help=f"default: {DEFAULT_OUTPUT}")
    add_store_argument(parser)
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the training; default: torch's choice")
    parser.add_argument("--max", type=int, metavar="N", help="run no more than N cells now")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--plan", action="store_true", help="only say what would be run, and how long it would take")
    other.add_argument(
        "--redraw",
        action="store_true",
        help="findings and plot anew from result.json (of all, without a name); nothing is run",
    )
    for name in FORMER:
        parser.add_argument(f"--{name}", action="append", default=[], help=argparse.SUPPRESS)


def execute(args: argparse.Namespace) -> int:
    _refuse_former(args)
    name, overrides = _split(args.overrides)
    if name is None:
        return _redraw_all(args.output) if args.redraw else _list(args.output)
    if args.max is not None and args.max < 0:
        raise UsageError(f"--max is a number of cells, 0 or more, not {args.max}.")
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads is a number of threads, 1 or more, not {args.threads}.")
    if name in MACHINES:
        return _reproduce(name, overrides, args)
    return _run(find_study(name), overrides, args)


def _split(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The study's name, which is the first word, and the overrides after it."""
    if not words:
        return None, []
    name, *overrides = words
    if "=" in name:
        raise UsageError(f"{name}: name the study first, as in: openprune study {next(iter(STUDIES))} {name}")
    return name, overrides


def _refuse_former(args: argparse.Namespace) -> None:
    """Say how what was an option once is written now."""
    given = [(name, value) for name in FORMER for value in getattr(args, name)]
    if not given:
        return
    now = {"task": "task={}", "seeds": "seeds=[{}]", "set": "{}"}
    words = [*args.overrides, *(now[name].format(value) for name, value in given)]
    before = " ".join(f"--{name} {value}" for name, value in given)
    raise UsageError(f"{before}: settings are written key=value: openprune study {shlex.join(words)}")


def _run(study: Study, overrides: Sequence[str], args: argparse.Namespace) -> int:
    from studies.settings import chosen

    choice = chosen(study, overrides)
    if args.redraw:
        return _redraw(study, choice.task, args.output)
    from harness.store.store import Store
    from studies.lab import Lab
    from studies.runner import describe, run_study

    if args.threads is not None:
        import torch

        torch.set_num_threads(args.threads)
    lab = Lab.open(choice.task)
    seeds = choice.seeds or default_seeds(lab.task)
    own = [text for text in overrides if not text.startswith("task=")]
    try:
        if args.plan:
            plan = study.plan(lab, choice.settings, seeds)
            for cell in plan.cells:
                print(describe(cell))
            for name, why in plan.left_out.items():
                print(f"Left out: {name}: {why}")
        outcome = run_study(
            study,
            lab,
            settings=choice.settings,
            seeds=seeds,
            store=Store(store_root(args)),
            output=args.output,
            limit=0 if args.plan else args.max,
        )
    except ValueError as error:
        if not own:
            raise
        raise UsageError(f"{study.name} does not run with {', '.join(own)}: {error}") from error
    _show(outcome.findings, outcome.files, args.output)
    if outcome.missing:
        print(f"Still to be run: {outcome.missing} of the cells; the same command goes on with them.")
    return 0


def _completions(prefix: str, **_: Any) -> list[str]:
    """Names of studies, `task=` with the tasks' names, `seeds=`."""
    words = [*STUDIES, *MACHINES, *(f"task={name}" for name in task_names()), "seeds="]
    return [word for word in words if word.startswith(prefix)]


def default_seeds(task: Task) -> list[int]:
    """Three where training is cheap, else one, so that only the test set's own error is known."""
    return [0, 1, 2] if task.macs < SEVERAL_SEEDS_BELOW_MACS else [0]


def _list(output: Path) -> int:
    from harness.cli.output import make_table, show_table

    rows = [(name, shows, _taken(output / name)) for name, shows in (STUDIES | MACHINES).items()]
    show_table(make_table(("study", "what it shows", "time it took"), rows))
    print("openprune study NAME [task=NAME] runs one; with --plan it only says how long that takes.")
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


def _reproduce(name: str, overrides: Sequence[str], args: argparse.Namespace) -> int:
    from importlib import import_module

    from studies.settings import seeds_of, values_of

    given = values_of(overrides)
    seeds = seeds_of(given.pop("seeds", None))
    if given or args.plan or args.max is not None or args.threads:
        raise UsageError(f"The study {name} takes a minute and has no settings: seeds=[…] and --output alone apply.")
    report = import_module(f"studies.{name}_report")
    if args.redraw:
        findings, files = _drawn_anew(args.output / name / report.FOLDER / "result.json", args.output)
    else:
        findings, files = report.reproduce(args.output, seeds or [0, 1, 2])
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
