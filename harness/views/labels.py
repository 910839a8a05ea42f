"""What tells one record from another: a short id, its date and commit, and the settings that differ.

A reader names a record by the first digits of its id, as with commits in git; tables show as many of
them as are needed to be unique in the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from harness.store.records import Record

SHORT_ID = 8
SHORT_COMMIT = 8
UNKNOWN_COMMIT = "unknown"


def short_ids(records: Iterable[Record]) -> dict[str, str]:
    """Id → its first digits: eight, or as many as keep all of `records` apart."""
    ids = sorted({record.id for record in records})
    shared = [_common(a, b) for a, b in pairwise(ids)]
    length = max([SHORT_ID, *(n + 1 for n in shared)])
    return {name: name[:length] for name in ids}


def commit_of(record: Record) -> str:
    """The commit's first digits, with `-dirty` where files differed from it."""
    commit = str(record.environment.get("commit") or UNKNOWN_COMMIT)
    digits, dash, state = commit.partition("-")
    return f"{digits[:SHORT_COMMIT]}{dash}{state}" if digits != UNKNOWN_COMMIT else commit


def date_of(record: Record) -> str:
    """When the record was made, to the minute, in UTC: `2026-03-01 12:00`."""
    try:
        made = datetime.fromisoformat(record.created)
    except ValueError:
        return record.created
    return (made.astimezone(UTC) if made.tzinfo else made).strftime("%Y-%m-%d %H:%M")


def settings_of(record: Record) -> dict[str, Any]:
    """What may be chosen on the command line but task, submission, target, seed and effort; flat."""
    settings = flatten(record.parameters)
    settings |= flatten(record.target_configuration, f"target.{record.target}.")
    return settings | ({"task": "modified"} if record.task_modified else {})


def differing_settings(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Record id → the settings in which it differs from another record of its task, submission and target."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.task, record.submission, record.target), []).append(record)
    found: dict[str, dict[str, Any]] = {}
    for group in groups.values():
        settings = [settings_of(record) for record in group]
        names = {name: None for each in settings for name in each}
        differ = [name for name in names if any(_unlike(a, b, name) for a, b in pairwise(settings))]
        for record, each in zip(group, settings, strict=True):
            found[record.id] = {name: each[name] for name in differ if name in each}
    return found


def changed_settings(record: Record, other: Record) -> dict[str, Any]:
    """The settings of `record` that `other` has not, or has with another value."""
    mine, theirs = settings_of(record), settings_of(other)
    return {name: value for name, value in mine.items() if _unlike(mine, theirs, name)}


def in_words(settings: Mapping[str, Any]) -> str:
    """`sparsity=0.9 recovery.epochs=10`."""
    return " ".join(f"{name}={_value(value)}" for name, value in settings.items())


def place_of(record: Record) -> str:
    """The task and the target: `digits_mlp on cpu`."""
    return f"{record.task} on {record.target}"


def name_of(record: Record, ids: Mapping[str, str] | None = None) -> str:
    """What a note calls a record: `digits_mlp on cpu: magnitude, seed 0 (1a2b3c4d)`."""
    short = (ids or {}).get(record.id, record.id[:SHORT_ID])
    return f"{place_of(record)}: {record.submission}, {seed_of(record)} ({short})"


def seed_of(record: Record) -> str:
    """`seed 0`, with the number of the repeat where it is not the first."""
    return f"seed {record.seed}" + (f" repeat {record.repeat}" if record.repeat else "")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested plain values as one level, keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    if name.startswith("target.") and (name not in one or name not in other):
        return False  # old records do not tell the target's configuration
    return (name in one) != (name in other) or one.get(name) != other.get(name)


def _common(a: str, b: str) -> int:
    """How many characters two texts begin with in common."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
