"""`openprune results`: the records of the store as a table, JSON or CSV."""

from __future__ import annotations

import argparse
import sys

from harness.cli.reading import add_filters, add_names, add_store_argument, filtered, named, records_of_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="whole records as a JSON array")
    form.add_argument("--csv", action="store_true", help="one line a record, one column a quantity")
    parser.add_argument("--samples", action="store_true", help="with --json: the raw samples, too")
    add_names(parser)
    add_filters(parser)
    add_store_argument(parser)


def execute(args: argparse.Namespace) -> int:
    from harness.cli.output import is_terminal, show_table
    from harness.util.names import UsageError
    from harness.views.labels import short_ids
    from harness.views.remarks import standing_remarks
    from harness.views.results import as_csv, as_json
    from harness.views.summary import summary_table

    if args.samples and not args.json:
        raise UsageError("--samples goes with --json alone: a table or a CSV line has no room for them.")
    everything = records_of_store(args)
    records, ids = named(filtered(everything, args), args), short_ids(everything)
    if args.json:
        sys.stdout.write(as_json(records, samples=args.samples))
    elif args.csv:
        sys.stdout.write(as_csv(records, ids))
    elif records:
        show_table(summary_table(records, ids, stacked=is_terminal()), standing_remarks(records, ids))
    return 0
