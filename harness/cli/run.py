"""`openprune run`: prune, judge and measure one submission, or a sweep of them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from harness.cli.complete import completes_with, override_completer
from harness.util.names import UsageError

if TYPE_CHECKING:
    from harness.store.records import Record

EXIT_CODES = {"valid": 0, "invalid": 1, "error": 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    overrides = parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="submission=magnitude 'targets=[cpu]' seed=1 …"
    )
    completes_with(overrides, override_completer)
    parser.add_argument("-m", "--multirun", action="store_true", help="one run for each value in comma-separated lists")
    parser.add_argument(
        "--repeat", type=int, metavar="N", help="have N measurements in all, those in the store included"
    )


def execute(args: argparse.Namespace) -> int:
    from harness.cli.hydra_app import compose_and_call, sweep
    from harness.cli.overrides import check_overrides, given_values, parse_overrides
    from harness.cli.requests import nameless
    from harness.store.store import Store, default_store_root

    overrides = list(args.overrides)
    if args.repeat is not None:
        overrides.append(f"repeats={args.repeat}")
    parsed = parse_overrides(overrides)
    folders, names = given_values(parsed, "submission_dir"), given_values(parsed, "submission")
    ready = check_overrides(overrides, "run", _choices(bool(folders)), _parameters(names, folders))
    if not folders and not names:
        raise nameless()
    errors: list[Exception] = []
    if args.multirun:  # all of a sweep is looked at before the first job works
        here = [text for text in ready if not text.lstrip("+").startswith(("hydra/launcher", "hydra.launcher"))]
        _, wrong = sweep(_check, "run", here)
        if wrong:
            raise wrong[0]
        outcomes, errors = sweep(run_job, "run", ready)
    else:
        outcomes = [compose_and_call(run_job, "run", ready)]
    store = Store(default_store_root())
    records = [record for outcome in outcomes for name in outcome["ids"] if (record := store.read(name))]
    if records or not errors:
        _show(records, sum(outcome["fresh"] for outcome in outcomes))
    if errors:
        raise errors[0]
    return max((EXIT_CODES[record.verdict] for record in records), default=3)


def _choices(outside: bool) -> dict[str, Any]:
    """Keys whose values are names; those of submissions that lie outside are looked up there."""
    from harness.entries.loading import submission_names
    from harness.tasks import task_names
    from hw_targets.registry import target_names

    choices: dict[str, Any] = {"task": task_names, "targets": target_names}
    if not outside:
        choices["submission"] = submission_names
    return choices


def _parameters(names: list[str], folders: list[str]) -> set[str]:
    """The parameters that all submissions named have, so that they may stand without `params.`."""
    from harness.cli.requests import own_name
    from harness.entries.loading import parameter_names

    places: list[str | None] = [*folders] or [None]
    submissions = [(name, folder) for folder in places for name in names or [own_name(folder)]]
    try:
        found = [parameter_names(name, folder) for name, folder in submissions if name]
    except UsageError:
        return set()  # said with more detail when the names are checked
    return set.intersection(*found) if found else set()


def run_job(fields: dict[str, Any]) -> dict[str, Any]:
    """Do one composed configuration; returns the records' ids and how many of them are new."""
    from harness.cli.logs import show_logs
    from harness.cli.requests import make_requests
    from harness.run.pipeline import run
    from harness.store.store import Store, default_store_root
    from harness.views.mirror_notes import mirror_new

    show_logs()  # a launcher may have started this process
    store = Store(default_store_root())
    outcomes = [run(request, store) for request in make_requests(fields)]
    records = [record for outcome in outcomes for record in outcome.records]
    mirror_new(records, store)
    return {"ids": [record.id for record in records], "fresh": sum(len(outcome.fresh) for outcome in outcomes)}


def _check(fields: dict[str, Any]) -> dict[str, Any]:
    """Look at one composed configuration, and do nothing."""
    from harness.cli.requests import make_requests

    make_requests(fields)
    return {}


def _show(records: list[Record], fresh: int) -> None:
    from harness.cli.output import is_terminal, show_table
    from harness.views.labels import name_of
    from harness.views.remarks import standing_remarks
    from harness.views.summary import summary_table

    if not fresh and records:
        print("Nothing was left to do: every stage was finished before.", file=sys.stderr)
    show_table(summary_table(records, stacked=is_terminal()), standing_remarks(records))
    for record in records:
        who = name_of(record)
        if record.failure:
            print(f"{who}: {record.verdict}: {record.failure.message} [{record.failure.rule}]")
            if record.failure.detail:
                print("  " + record.failure.detail.strip().replace("\n", "\n  "), file=sys.stderr)
        if record.noisy:
            print(f"{who}: noisy: {record.noisy}")
