"""Which records a name stands for, and which of a submission's records speak for it today.

The newest record speaks, whatever its verdict: a submission that has just been broken must not be shown
by an older one that was valid. Beside it stand its other seeds and repeats, as far as they were made with
the same settings and the same code. All others are left out, and named with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.store.records import Record
from harness.util.names import UnknownNameError, UsageError
from harness.views.comparable import EARLIER, UNKNOWN
from harness.views.labels import changed_settings, commit_of, in_words

SHORTEST_PREFIX = 4
NAMED = 4


@dataclass(frozen=True)
class Choice:
    """The records of one submission on one task and target that speak for it, newest last.

    Attributes:
        left_out: each other record with the reason.
    """

    records: tuple[Record, ...]
    left_out: tuple[tuple[Record, str], ...] = ()


def select(records: Sequence[Record], name: str) -> list[Record]:
    """The records that `name` stands for: a submission's name, a record's id, or the start of one.

    Raises:
        UnknownNameError: no record is called that; names the nearest.
        UsageError: several ids begin with it, or it is too short for an id.
    """
    for chosen in (
        [record for record in records if record.submission == name],
        [record for record in records if record.id == name],
    ):
        if chosen:
            return chosen
    chosen = [record for record in records if name and record.id.startswith(name.lower())]
    if chosen and len(name) < SHORTEST_PREFIX:
        raise UsageError(f"{name!r} is too short for a record's id: give at least {SHORTEST_PREFIX} digits.")
    if len(chosen) > 1:
        shown = "".join(f"\n  {r.id}  {r.created}  {r.submission} on {r.task}, {r.target}" for r in chosen[:NAMED])
        more = f"\n  and {len(chosen) - NAMED} more" if len(chosen) > NAMED else ""
        raise UsageError(f"{len(chosen)} records begin with {name!r}; give more digits:{shown}{more}")
    if not chosen:
        known = {record.submission for record in records} | {record.id[:12] for record in records}
        raise UnknownNameError("submission or record", name, known)
    return chosen


def choose(records: Sequence[Record]) -> Choice:
    """Of the records of one submission, task and target: the newest, with what belongs to it.

    That has the settings, effort, machine and methodology of the newest, and its code: the same commit,
    or one with which the very same compression was done. Where a seed was compressed anew, code has
    changed under the same commit; seeds that were compressed less often since are of earlier code.
    """
    ordered = sorted(records, key=lambda record: (record.created, record.id))
    newest = ordered[-1]
    commits = {commit_of(record) for record in ordered if record.run == newest.run}
    alike, left_out = [], []
    for record in ordered:
        reason = _otherwise(record, newest, commits)
        if reason:
            left_out.append((record, reason))
        else:
            alike.append(record)
    latest = {(record.seed, record.repeat): record for record in alike}
    generation = _generations(alike)
    kept = [r for r in latest.values() if generation[r.seed, r.run] == generation[newest.seed, newest.run]]
    left_out += [(record, "older") for record in alike if record not in kept]
    return Choice(
        tuple(sorted(kept, key=lambda record: (record.seed, record.repeat))),
        tuple(sorted(left_out, key=lambda item: item[0].created, reverse=True)),
    )


def _otherwise(record: Record, newest: Record, commits: set[str]) -> str:
    """In what `record` was made otherwise than `newest`; empty where in nothing."""
    changed = changed_settings(record, newest)
    missing = changed_settings(newest, record)
    machine = "machine_fingerprint"
    reasons = {
        in_words(changed) or f"without {in_words(missing)}": bool(changed or missing),
        f"effort {record.effort}": record.effort != newest.effort,
        EARLIER.get(record.methodology, UNKNOWN).mark: record.methodology != newest.methodology,
        f"machine {record.environment.get(machine)}": record.environment.get(machine)
        != newest.environment.get(machine),
        f"commit {commit_of(record)}": commit_of(record) not in commits,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


def _generations(records: Sequence[Record]) -> dict[tuple[int, str], int]:
    """(seed, run) → how many other runs of that seed came before; `records` are in order of time."""
    runs: dict[int, dict[str, Any]] = {}
    for record in records:
        runs.setdefault(record.seed, {}).setdefault(record.run, None)
    return {(seed, run): index for seed, of in runs.items() for index, run in enumerate(of)}
