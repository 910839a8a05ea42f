"""`openprune submissions`: the submissions, each with the first sentence that its source says about itself."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def execute(args: argparse.Namespace) -> int:
    from harness.cli.output import make_table, show_json, show_table
    from harness.entries.loading import find_submission, submission_names

    rows = []
    for name in submission_names():
        folder = find_submission(name)
        rows.append({"name": name, "summary": summary(folder / "submission.py"), "folder": str(folder)})
    if args.json:
        show_json(rows)
    else:
        show_table(make_table(("submission", "what it does"), [(row["name"], row["summary"]) for row in rows]))
    return 0


def summary(source: Path) -> str:
    """The first line of the module's docstring; the module is parsed, never run."""
    try:
        docstring = ast.get_docstring(ast.parse(source.read_bytes()))
    except SyntaxError as error:
        return f"(cannot be parsed: line {error.lineno}: {error.msg})"
    return (docstring or "(no docstring)").splitlines()[0]
