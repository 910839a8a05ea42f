"""The commands: an explicit table, and a parser that loads only the one that is called.

Each module has `add_arguments(parser)` and `execute(args) -> int`, and imports what is heavy inside
`execute`, so that `openprune --help` and the completion of names answer at once.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from harness.util.names import UnknownNameError, UsageError


@dataclass(frozen=True)
class Command:
    """Where a command lives, and its line in `openprune --help`."""

    module: str
    summary: str


COMMANDS: dict[str, Command] = {
    "run": Command("harness.cli.run", "compress submissions, judge them and measure them on targets"),
    "train": Command("harness.cli.train", "train the reference network of a task"),
    "results": Command("harness.cli.results", "show the records of the store"),
    "compare": Command("harness.cli.compare", "compare two records or submissions"),
    "report": Command("harness.cli.report", "write a report as one HTML file"),
    "ui": Command("harness.cli.ui", "open the MLflow mirror of the store"),
    "tasks": Command("harness.cli.tasks", "list the tasks, or show one"),
    "targets": Command("harness.cli.targets", "list the hardware targets and whether they can measure here"),
    "study": Command("studies.command", "run a study of pruning techniques, or list the studies"),
    "submissions": Command("harness.cli.submissions", "list the submissions"),
    "new": Command("harness.cli.new", "start a submission of your own from the template"),
    "data": Command("harness.cli.data", "fetch or list the data sets"),
    "store": Command("harness.cli.store", "tidy the store, or merge another into it"),
    "doctor": Command("harness.cli.doctor", "say what this machine has, and what it lacks"),
    "completion": Command("harness.cli.completion", "print the shell's completion script"),
}

DESCRIPTION = "An open benchmark for neural-network pruning: measured, not counted."
EPILOG = """\
exit codes: 0 done (all submissions valid), 1 a submission is invalid, 2 wrong usage,
            3 the harness failed, 130 interrupted
environment: OPENPRUNE_STORE, OPENPRUNE_DATA (folders), OPENPRUNE_TRACEBACK=1

openprune COMMAND --help tells more of each command."""


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` where argparse would print and exit."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}. See: {self.prog} --help")


class ShowVersion(argparse.Action):
    """Looks the version up when it is asked for, not at every start."""

    def __call__(self, parser: argparse.ArgumentParser, *unused: Any) -> None:
        from importlib import metadata

        try:
            version = metadata.version("openprune")
        except metadata.PackageNotFoundError:
            version = "(not installed: running from a source folder)"
        print(f"openprune {version}")
        parser.exit()


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """The whole parser, with the arguments of `command` alone."""
    parser = Parser(
        prog="openprune",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="print the version and exit")
    children = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for name, entry in COMMANDS.items():
        described = f"{entry.summary[:1].upper()}{entry.summary[1:]}."
        child = children.add_parser(name, help=entry.summary, description=described, allow_abbrev=False)
        if name == command:
            module = importlib.import_module(entry.module)
            child.formatter_class = argparse.RawDescriptionHelpFormatter
            module.add_arguments(child)
    return parser


def named_command(arguments: Sequence[str]) -> str | None:
    """The first argument that is no option.

    Raises:
        UnknownNameError: there is no such command; the message names the nearest.
    """
    name = next((word for word in arguments if not word.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        raise UnknownNameError("command", name, COMMANDS)
    return name


def dispatch(arguments: Sequence[str]) -> int:
    """Parse `arguments`, execute the command, and return its exit code.

    Raises:
        UsageError: the arguments make no sense.
        SystemExit: after `--help` and `--version`.
    """
    name = named_command(arguments)
    parser = build_parser(name)
    parsed = _parse(parser, arguments)
    if name is None:
        parser.print_help()
        return 2
    return int(importlib.import_module(COMMANDS[name].module).execute(parsed))


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """As `parse_args`, but overrides may stand on both sides of an option, which argparse cannot do."""
    parsed, left = parser.parse_known_args(arguments)
    if left and hasattr(parsed, "overrides") and not any(word.startswith("-") for word in left):
        parsed.overrides = [*parsed.overrides, *left]
    elif left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    return parsed
