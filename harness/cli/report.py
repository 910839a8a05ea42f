"""`openprune report`: the records as one HTML file that needs no server and no network."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.reading import (
    add_filters,
    add_names,
    add_store_argument,
    filtered,
    named,
    records_of_store,
    store_root,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_names(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="PATH", help="where to (default: report.html in the store)"
    )
    add_filters(parser)
    add_store_argument(parser)


def execute(args: argparse.Namespace) -> int:
    from harness.util.names import UsageError
    from harness.views.labels import short_ids
    from harness.views.report import write_report

    everything = records_of_store(args)
    records = named(filtered(everything, args), args)
    if not records:
        raise UsageError("There is nothing to report on: no record matches.")
    path: Path = args.output or store_root(args) / "report.html"
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the file's name, too: -o {path / 'report.html'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_report(records, path, ids=short_ids(everything))
    print(f"Wrote {path} from {len(records)} record{'s' if len(records) > 1 else ''}.")
    return 0
