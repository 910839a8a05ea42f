"""`openprune doctor`: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.cli.machine import Fact


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs, and for bug reports")


def execute(args: argparse.Namespace) -> int:
    from harness.cli.output import make_table, show_json, show_table

    facts = examine()
    if args.json:
        show_json([asdict(fact) for fact in facts])
    else:
        rows = [(fact.area, fact.name, "ok" if fact.ok else "--", fact.detail) for fact in facts]
        show_table(make_table(("area", "what", "", "detail"), rows))
    return 0


def examine() -> list[Fact]:
    """Every fact, in the order they are shown. What is missing is a fact, never an error."""
    from harness.cli.machine import Fact, folder_fact, hardware_facts, program_facts, python_facts
    from harness.cli.targets import describe_targets
    from harness.data import data_root, dataset_names, is_present
    from harness.store.store import default_store_root

    targets = [Fact("targets", row["name"], row["available"], row["detail"]) for row in describe_targets()]
    data = [
        Fact("data", name, present, "fetched" if present else f"not fetched (openprune data fetch {name})")
        for name in dataset_names()
        for present in [is_present(name)]
    ]
    folders = [folder_fact("store", "store", default_store_root()), folder_fact("data", "folder", data_root())]
    return [*python_facts(), *hardware_facts(), *targets, folders[0], folders[1], *data, *program_facts()]
