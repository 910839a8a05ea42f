"""`openprune data`: data sets, fetched once and verified by the hash of their content."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("fetch", "list"), help="fetch one, or list them all")
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the data set to fetch")


def execute(args: argparse.Namespace) -> int:
    from harness.data import dataset_names, load_dataset, where
    from harness.util.names import UsageError

    if args.action == "list":
        if args.name is not None:
            raise UsageError(f"`openprune data list` takes no name. Did you mean: openprune data fetch {args.name}?")
        return _list()
    if args.name is None:
        raise UsageError(f"Which data set? openprune data fetch NAME, with NAME one of: {', '.join(dataset_names())}.")
    data = load_dataset(args.name)
    parts = {"training": data.train, "validation": data.validation, "test": data.test}
    counts = ", ".join(f"{len(part):,} {name}" for name, part in parts.items())
    print(f"{args.name} is in {where(args.name)}, verified: {counts} samples.")
    return 0


def _list() -> int:
    from harness.cli.output import make_table, show_table
    from harness.data import dataset_names, is_present, where

    rows = [
        (name, "yes" if is_present(name) else f"no: openprune data fetch {name}", where(name))
        for name in dataset_names()
    ]
    show_table(make_table(("data set", "fetched", "folder"), rows))
    return 0
