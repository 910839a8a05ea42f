"""Reading a store's records back, as rows, JSON, CSV or a table.

Every record is shown, and a file that cannot be read is named: nothing is dropped in silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from harness import formatting
from harness.records import Record, RecordError, from_json

if TYPE_CHECKING:
    from rich.table import Table

VERDICT_STYLES = {"valid": "green", "invalid": "yellow", "error": "red"}
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


def to_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Flat rows, fit for `pandas.DataFrame`: one a record, a value and a basis for each quantity.

    Units are those of the columns' names (`latency_p50_ns`); a quantity that is absent has no value.
    """
    rows = []
    for record in records:
        row: dict[str, Any] = {
            "id": record.id,
            "run": record.run,
            "created": record.created,
            "task": record.task,
            "task_version": record.task_version,
            "submission": record.submission,
            "target": record.target,
            "seed": record.seed,
            "repeat": record.repeat,
            "effort": record.effort,
            "verdict": record.verdict,
            "rule": record.failure.rule if record.failure else None,
            "metric": record.quality.metric if record.quality else None,
        }
        for name in QUALITY_FIELDS:
            row[f"quality_{name}"] = getattr(record.quality, name) if record.quality else None
        for name, item in record.quantities.items():
            row[name] = item.value
            row[f"{name}_basis"] = item.basis
        row["noisy"] = record.noisy
        row["machine_fingerprint"] = record.environment.get("machine_fingerprint")
        rows.append(row)
    return rows


def as_json(records: Iterable[Record], samples: bool = False) -> str:
    """The records as one JSON array, without the raw samples unless they are asked for."""
    items = [asdict(record) for record in records]
    if not samples:
        items = [{key: value for key, value in item.items() if key != "samples"} for item in items]
    return json.dumps(items, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(records: Iterable[Record]) -> str:
    """`to_rows` as comma-separated values; the columns are the union over all records."""
    import csv
    import io

    rows = to_rows(records)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def summary_table(records: Sequence[Record]) -> Table:
    """One row a record: what was asked, whether it holds, and the figures people look at first."""
    from rich.table import Table
    from rich.text import Text

    several_tasks = len({record.task for record in records}) > 1
    several_seeds = len({(record.seed, record.repeat) for record in records}) > 1
    table = Table(title=None if several_tasks or not records else records[0].task, title_justify="left")
    for column in [*(["task"] if several_tasks else []), "submission", *(["seed"] if several_seeds else [])]:
        table.add_column(column)
    table.add_column("target")
    table.add_column("verdict")
    for column in (
        "accuracy",
        "delta [95 % CI]",
        "weights removed",
        "compression",
        "p50 latency",
        "speed-up",
        "energy",
    ):
        table.add_column(column, justify="right")
    for record in records:
        cells = summary_cells(record)
        lead = [record.task] if several_tasks else []
        seed = [f"{record.seed}" + (f" #{record.repeat}" if record.repeat else "")] if several_seeds else []
        verdict = Text(cells["verdict"], style=VERDICT_STYLES[record.verdict])
        names = [Text(text) for text in (*lead, record.submission, *seed, record.target)]
        table.add_row(*names, verdict, *(Text(cells[name]) for name in list(cells)[1:]))
    return table


def summary_cells(record: Record) -> dict[str, str]:
    """The summary's texts by column; a dash where a figure is absent."""
    quality, failure = record.quality, record.failure
    cells = {
        "verdict": record.verdict + (f": {failure.rule}" if failure else ""),
        "accuracy": formatting.ABSENT if quality is None else formatting.percent(quality.value, 2),
        "delta": formatting.ABSENT
        if quality is None
        else formatting.points(quality.delta, quality.delta_ci_low, quality.delta_ci_high),
    }
    columns = {
        "weights removed": "weights_removed_fraction",
        "compression": "compression_ratio",
        "p50 latency": "latency_p50_ns",
        "speed-up": "speedup_vs_dense",
        "energy": "energy_per_inference_pj",
    }
    for column, name in columns.items():
        item = record.quantities.get(name)
        cells[column] = formatting.quantity(name, item)
        if item and column in ("p50 latency", "energy"):
            doubts = [*([] if item.basis == "measured" else [item.basis]), *(["noisy"] if record.noisy else [])]
            cells[column] += f" ({', '.join(doubts)})" if doubts else ""
    integers = record.quantities.get("macs_integer_fraction")
    if integers and 0 < integers.value < 1:  # some layers stayed in floats; which ones, the record's layers tell
        cells["speed-up"] += f" ({formatting.quantity('macs_integer_fraction', integers)} in integers)"
    return cells


def print_table(table: Table, stream: TextIO | None = None) -> None:
    """Print in colour on a terminal; elsewhere as plain text, as wide as it needs to be."""
    import sys

    from rich import box
    from rich.console import Console

    stream = stream or sys.stdout
    if stream.isatty():
        Console(file=stream).print(table)
        return
    table.box = box.ASCII2
    Console(file=stream, width=400, no_color=True, force_terminal=False, legacy_windows=False).print(table)
