"""Reading a store's records back, as rows, JSON or CSV.

Every record is shown, and a file that cannot be read is named: nothing is dropped in silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from harness.store.records import Record, RecordError, from_json
from harness.views.comparable import bounds
from harness.views.labels import commit_of, differing_settings, flatten, in_words, short_ids

QUALITY_FIELDS = ("value", "reference", "quality_target", "delta", "delta_ci_low", "delta_ci_high")


class Reading(NamedTuple):
    """What a store holds: its records, oldest first, and a sentence for every file that is none."""

    records: list[Record]
    problems: list[str]


def read_records(root: Path) -> Reading:
    """Read every `records/*.json` of the store at `root`; an absent folder is an empty store."""
    records, problems = [], []
    for path in sorted((root / "records").glob("*.json")):
        try:
            record = from_json(path.read_bytes(), str(path))
        except (RecordError, OSError) as error:
            problems.append(f"Left out: {error}")
            continue
        if record.id != path.stem:
            problems.append(f"Left out: {path} holds the record {record.id}; a record's file bears its id.")
            continue
        records.append(record)
    return Reading(sorted(records, key=lambda record: (record.created, record.id)), problems)


def to_rows(records: Sequence[Record], ids: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Flat rows, fit for `pandas.DataFrame`: one a record, with value, basis and interval of each quantity.

    Units are those of the columns' names (`latency_p50_ns`); a quantity that is absent has no value.
    `differs` says in which settings a record is unlike the others of its submission; each parameter also
    has a column of its own.

    Args:
        ids: the short id of each record, unique in its store; by default among `records`.
    """
    ids, differing = ids or short_ids(records), differing_settings(records)
    rows = []
    for record in records:
        row: dict[str, Any] = {
            "id": record.id,
            "short_id": ids[record.id],
            "run": record.run,
            "created": record.created,
            "task": record.task,
            "task_version": record.task_version,
            "submission": record.submission,
            "target": record.target,
            "seed": record.seed,
            "repeat": record.repeat,
            "effort": record.effort,
            "commit": commit_of(record),
            "methodology": record.methodology,
            "differs": in_words(differing[record.id]),
            "verdict": record.verdict,
            "rule": record.failure.rule if record.failure else None,
            "metric": record.quality.metric if record.quality else None,
        }
        for name in QUALITY_FIELDS:
            row[f"quality_{name}"] = getattr(record.quality, name) if record.quality else None
        for name, item in record.quantities.items():
            row[name] = item.value
            row[f"{name}_basis"] = item.basis
            if ends := bounds(record, name):
                row[f"{name}_low"], row[f"{name}_high"] = ends
        row["noisy"] = record.noisy
        row["machine_fingerprint"] = record.environment.get("machine_fingerprint")
        row["task_modified"] = record.task_modified
        row |= flatten(record.parameters, "params.")
        row |= flatten(record.target_configuration, f"target.{record.target}.")
        rows.append(row)
    return rows


def as_json(records: Iterable[Record], samples: bool = False) -> str:
    """The records as one JSON array, without the raw samples unless they are asked for."""
    items = [asdict(record) for record in records]
    if not samples:
        items = [{key: value for key, value in item.items() if key != "samples"} for item in items]
    return json.dumps(items, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(records: Sequence[Record], ids: Mapping[str, str] | None = None) -> str:
    """`to_rows` as comma-separated values; the columns are the union over all records."""
    import csv
    import io

    rows = to_rows(records, ids)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
