"""`openprune targets`: the hardware targets, and why one cannot measure here."""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def execute(args: argparse.Namespace) -> int:
    from harness.cli.output import make_table, show_json, show_table

    found = describe_targets()
    if args.json:
        show_json(found)
    else:
        rows = [(row["name"], "yes" if row["available"] else "no", row["detail"]) for row in found]
        show_table(make_table(("target", "available", "device, or why not"), rows))
    return 0


def describe_targets() -> list[dict[str, Any]]:
    """Each target's name, whether it is available here, and its device or the reason."""
    from hw_targets.registry import make_target, target_names
    from hw_targets.target import Available

    rows = []
    for name in target_names():
        state = make_target(name, {}).availability()
        detail = state.detail if isinstance(state, Available) else state.reason
        rows.append({"name": name, "available": isinstance(state, Available), "detail": detail})
    return rows
