"""`openprune run`: prune, judge and measure one entry, or a sweep of them."""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.cli.complete import completes_with, override_completer
from harness.util.names import UsageError
from hw_targets.target import Effort

if TYPE_CHECKING:
    from harness.run.pipeline import Request
    from harness.store.records import Record
    from harness.store.store import Store

NAMELESS = (
    "Name the submission to run: submission=NAME, or submission_dir=FOLDER for one of your own. Here are: {}. "
    "submission=dense measures the reference itself."
)
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
    from harness.cli.hydra_app import compose_and_call
    from harness.cli.overrides import check_overrides, given_values, parse_overrides
    from harness.store.store import Store, default_store_root

    overrides = list(args.overrides)
    if args.repeat is not None:
        overrides.append(f"repeats={args.repeat}")
    parsed = parse_overrides(overrides)
    folders, names = given_values(parsed, "submission_dir"), given_values(parsed, "submission")
    ready = check_overrides(overrides, "run", _choices(bool(folders)), _parameters(names, folders))
    if not folders and not names:
        raise UsageError(NAMELESS.format(", ".join(_choices(False)["submission"]())))
    if args.multirun:  # all of a sweep is looked at before the first job works
        here = [text for text in ready if not text.lstrip("+").startswith(("hydra/launcher", "hydra.launcher"))]
        _, wrong = compose_and_call(_check, "run", here, multirun=True)
        if wrong:
            raise wrong[0]
    outcomes, errors = compose_and_call(run_job, "run", ready, multirun=args.multirun)
    records = [
        record for outcome in outcomes for name in outcome["ids"] if (record := Store(default_store_root()).read(name))
    ]
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
    """The parameters that all entries named have, so that they may stand without `params.`."""
    from harness.entries.loading import parameter_names

    places: list[str | None] = [*folders] or [None]
    entries = [(name, folder) for folder in places for name in names or [_own_name(folder)]]
    try:
        found = [parameter_names(name, folder) for name, folder in entries if name]
    except UsageError:
        return set()  # said with more detail when the names are checked
    return set.intersection(*found) if found else set()


def _own_name(folder: str | None) -> str:
    """The entry that a `submission_dir` without a name means: its own."""
    return Path(folder).expanduser().resolve().name if folder else ""


@dataclass(frozen=True)
class RunConfig:
    """`conf/run.yaml`, typed."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    task: dict[str, Any]
    submission: str | None
    submission_dir: str | None
    params: dict[str, Any]
    targets: list[str]
    target: dict[str, dict[str, Any]]
    seed: int
    effort: Effort
    repeats: int


def run_job(fields: dict[str, Any]) -> dict[str, Any]:
    """Do one composed configuration; returns the records' ids and how many of them are new."""
    from harness.run.pipeline import run
    from harness.store.store import Store, default_store_root

    store = Store(default_store_root())
    records: list[Record] = []
    fresh = 0
    for request in requests(fields):
        outcome = run(request, store)
        records += outcome.records
        fresh += len(outcome.fresh)
    _mirror([record for record in records if not _is_mirrored(record, store)], store)
    return {"ids": [record.id for record in records], "fresh": fresh}


def _check(fields: dict[str, Any]) -> dict[str, Any]:
    """Look at one composed configuration, and do nothing."""
    requests(fields)
    return {}


def requests(fields: dict[str, Any]) -> list[Request]:
    """From composed plain values to typed requests, one for each repeat.

    Raises:
        UsageError: a value is of the wrong type, or names something that does not exist.
    """
    from harness.cli.hydra_app import check_seed, typed
    from harness.entries.loading import load_entry, submission_names
    from harness.run.pipeline import Request
    from harness.tasks import load_task, task_from_mapping, task_names

    config = typed(RunConfig, fields)
    task = task_from_mapping(config.task, "the task as overridden")
    modified = task.name not in task_names() or asdict(task) != asdict(load_task(task.name))
    name = config.submission or _own_name(config.submission_dir)
    if not name:
        raise UsageError(NAMELESS.format(", ".join(submission_names())))
    entry = load_entry(name, config.params, config.submission_dir)
    check_seed(config.seed)
    if config.repeats < 1:
        raise UsageError("repeats must be at least 1.")
    return [
        Request(task, entry, _targets(config), config.seed, config.effort, repeat, modified)
        for repeat in range(config.repeats)
    ]


def _targets(config: RunConfig) -> Any:
    from hw_targets.registry import make_target

    if not config.targets:
        raise UsageError("targets is empty; name at least one: 'targets=[cpu]'.")
    for name in config.target:
        if name not in config.targets:
            raise UsageError(f"target.{name} is set, but {name} is not in targets={config.targets}.")
    try:
        return tuple(make_target(name, config.target.get(name, {})) for name in dict.fromkeys(config.targets))
    except ValueError as error:
        raise UsageError(str(error)) from error


def _mirror_note(record: Record, store: Store) -> Path:
    """A small file that says that MLflow has the record, so that a second call need not ask it."""
    from harness.views.mirror import address

    where = hashlib.sha256(address(store.root).encode()).hexdigest()[:12]
    return store.root / "mirrored" / where / record.id


def _is_mirrored(record: Record, store: Store) -> bool:
    note = _mirror_note(record, store)
    return note.is_file() and note.read_text() == record.created


def _mirror(records: list[Record], store: Store) -> None:
    """MLflow is a mirror: what goes wrong there loses nothing, and is said."""
    from harness.util.files import write_atomically
    from harness.views.mirror import MirrorError, mirror

    if not records:
        return
    try:
        mirror(records, store.root)
        for record in records:
            write_atomically(_mirror_note(record, store), record.created)
    except MirrorError as error:
        print(f"Warning: MLflow was not updated: {error} The records are safe.", file=sys.stderr)


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
