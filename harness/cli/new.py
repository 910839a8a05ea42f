"""`openprune new NAME`: a submission of one's own, started from the template."""

from __future__ import annotations

import argparse
import keyword
import os
import shutil
from pathlib import Path

from harness.util.names import UsageError

TEMPLATE = "template"
FAST_TASK = "digits_mlp"  # of seconds, and its data come with scikit-learn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the new submission: letters, digits and underscores")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="DIR",
        help="folder that gets it (default: where the submissions are)",
    )


def execute(args: argparse.Namespace) -> int:
    from harness.entries.loading import find_submission, submission_names

    template = find_submission(TEMPLATE)
    beside = template.parent
    into: Path = beside if args.into is None else args.into.expanduser().resolve()
    if into != beside and args.name in submission_names():
        raise UsageError(f"{args.name!r} is the name of a submission already; choose another.")
    folder = create(args.name, template, into)
    outside = "" if into == beside else f" submission_dir={into}"
    print(f"Made {folder}. Edit compress() in {folder / 'submission.py'}, then try it:")
    print(f"  openprune run task={FAST_TASK} submission={args.name}{outside} 'targets=[cpu]' effort=quick")
    return 0


def create(name: str, template: Path, into: Path) -> Path:
    """Copy `template` to `into/name`, whole or not at all, and return the new folder.

    Raises:
        UsageError: the name is no identifier, or something of that name is there already.
    """
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name) or name.startswith("_"):
        raise UsageError(
            f"{name!r} is no name for one: use letters, digits and underscores, a letter first; no Python keyword."
        )
    folder = into / name
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} exists already; nothing was changed. Choose another name, or another --into.")
    into.mkdir(parents=True, exist_ok=True)
    aside = into / f".{name}.{os.getpid()}.part"
    try:
        shutil.copytree(template, aside, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder
