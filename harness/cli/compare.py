"""`openprune compare A B`: two records or submissions side by side, with intervals."""

from __future__ import annotations

import argparse

from harness.cli.complete import completes_with, submission_names
from harness.cli.reading import add_filters, add_store_argument, filtered, records_of_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, meaning in (("a", "a submission, a record's id or its first digits"), ("b", "the same, compared with A")):
        completes_with(parser.add_argument(name, metavar=name.upper(), help=meaning), submission_names)
    add_filters(parser)
    add_store_argument(parser)


def execute(args: argparse.Namespace) -> int:
    from harness.cli.output import show_table
    from harness.views.compare import compare
    from harness.views.comparison_table import comparison_notes, comparison_table
    from harness.views.labels import short_ids
    from harness.views.selection import select

    everything = records_of_store(args)
    records = filtered(everything, args)
    comparison = compare(select(records, args.a), select(records, args.b))
    show_table(comparison_table(comparison), comparison_notes(comparison, short_ids(everything)))
    return 0
