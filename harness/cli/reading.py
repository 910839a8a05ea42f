"""What the commands that read records have in common: where the store is, and which records are meant."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.complete import completes_with, submission_names, target_names, task_names
from harness.cli.output import note
from harness.util.names import UnknownNameError

if TYPE_CHECKING:
    from harness.store.records import Record

FILTERS = {"task": task_names, "submission": submission_names, "target": target_names}


def add_store_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="folder of the records (default: $OPENPRUNE_STORE, or ./runs)"
    )


def store_root(args: argparse.Namespace) -> Path:
    """`--store`, or what the environment says."""
    from harness.store.store import default_store_root

    chosen: Path | None = args.store
    return default_store_root() if chosen is None else chosen.expanduser().resolve()


def add_filters(parser: argparse.ArgumentParser) -> None:
    for name, completer in FILTERS.items():
        option = parser.add_argument(f"--{name}", action="append", metavar="NAME", help=f"only this {name}; repeatable")
        completes_with(option, completer)


def add_names(parser: argparse.ArgumentParser) -> None:
    names = parser.add_argument(
        "names", nargs="*", metavar="NAME", help="submissions, record ids or their first digits (default: all)"
    )
    completes_with(names, submission_names)


def records_of_store(args: argparse.Namespace) -> list[Record]:
    """All records, oldest first; files that are none are named on standard error."""
    from harness.views.results import read_records

    records, problems = read_records(store_root(args))
    for problem in problems:
        note(problem)
    if not records:
        note(
            f"No records in {store_root(args)} yet. Make some with, for example:\n"
            "  openprune run task=cifar10_resnet20 submission=magnitude 'targets=[cpu]'"
        )
    return records


def filtered(records: list[Record], args: argparse.Namespace) -> list[Record]:
    """The records that pass `--task`, `--submission` and `--target`.

    Raises:
        UnknownNameError: no record at all has the name asked for.
    """
    for field in FILTERS:
        wanted: list[str] | None = getattr(args, field)
        if not wanted or not records:
            continue
        known = {str(getattr(record, field)) for record in records}
        for name in wanted:
            if name not in known:
                raise UnknownNameError(f"{field} in these records", name, known)
        records = [record for record in records if getattr(record, field) in wanted]
    return records


def named(records: list[Record], args: argparse.Namespace) -> list[Record]:
    """The records that the positional names stand for; all where none is given.

    Raises:
        UnknownNameError: no record is called so.
        UsageError: a short id is not unique.
    """
    from harness.views.selection import select

    if not args.names:
        return records
    chosen = {record.id for name in args.names for record in select(records, name)}
    return [record for record in records if record.id in chosen]
