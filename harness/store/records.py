"""What a run leaves: one record for one submission on one target, as a JSON file.

Records are the truth; MLflow, reports and leaderboards are made from them. The JSON schema is
derived from these classes. A change that old files do not survive raises `SCHEMA_VERSION` and
brings an upgrade with it: a record, once written, keeps loading.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from harness.entries.rules import Failure
from harness.store.methodology import METHODOLOGY
from harness.store.quality import Quality
from hw_targets.target import Quantity

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA_VERSION = 2
Verdict = Literal["valid", "invalid", "error"]


@dataclass(frozen=True)
class Compression:
    """How the submission was made.

    Attributes:
        key: of the compress stage: equal keys are the same work.
        time_s: wall clock that `compress` took.
        samples_trained: training samples that went through `context.train`.
        onnx_sha256: of the delivered file; empty where none came.
    """

    key: str
    time_s: float
    samples_trained: int
    onnx_sha256: str = ""


@dataclass(frozen=True)
class Record:
    """One submission on one target.

    Attributes:
        id: stands for entry and measurement; the file's name.
        run: groups the records of one submission (one compress stage) over several targets.
        repeat: the measurement's number, counted from 0.
        created: UTC, ISO 8601.
        parameters: the submission's configuration.
        target_configuration: of the target; empty in records of schema version 1.
        methodology: how it was exported and measured, see `harness.store.methodology`.
        task_modified: the task was changed on the command line, so this is no official result.
        samples, layers, conditions, noisy, artifacts: see `hw_targets.target.Measurement`;
            artifacts are relative to the store's root.
        environment: commit, versions, processor, threads, load, machine fingerprint.
    """

    id: str
    run: str
    created: str
    task: str
    task_version: int
    submission: str
    target: str
    seed: int
    repeat: int
    effort: str
    verdict: Verdict
    compression: Compression
    quality: Quality | None = None
    failure: Failure | None = None
    quantities: dict[str, Quantity] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)
    layers: list[dict[str, Any]] = field(default_factory=list)
    conditions: dict[str, Any] = field(default_factory=dict)
    noisy: str | None = None
    artifacts: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    target_configuration: dict[str, Any] = field(default_factory=dict)
    methodology: int = METHODOLOGY
    task_modified: bool = False
    environment: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


class RecordError(Exception):
    """A file that is no record, or one from a newer version."""


def to_json(record: Record) -> str:
    """The record as JSON text that `from_json` reads back to an equal record.

    Raises:
        RecordError: it holds a number that JSON has no word for, or a value that is not plain.
    """
    from pydantic_core import PydanticSerializationError

    broken = [f"{place} is {value}" for place, value in _not_finite(asdict(record))]
    if broken:
        raise RecordError(
            f"Record {record.id} cannot be written: {'; '.join(broken[:5])}. "
            "A quantity that could not be had belongs under `absent`, with the reason."
        )
    try:
        return _adapter().dump_json(record, indent=1, warnings="error").decode() + "\n"
    except PydanticSerializationError as error:
        raise RecordError(f"Record {record.id} cannot be written: {error}") from error


def from_json(text: str | bytes, where: str = "record") -> Record:
    """Read a record of any schema version so far.

    Raises:
        RecordError: it does not follow the schema; says where, and what is wrong.
    """
    import json

    from pydantic import ValidationError

    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where} is not JSON: {error}") from error
    version = fields.get("schema_version") if isinstance(fields, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= SCHEMA_VERSION:
        raise RecordError(
            f"{where} has schema version {version}; this openprune reads 1 to {SCHEMA_VERSION}. Is it a newer file?"
        )
    try:
        return _adapter().validate_python(_upgraded(fields))
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise RecordError(f"{where} is not a record:\n" + "\n".join(lines)) from error


def _upgraded(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields as this version has them. Version 1 knew one methodology alone, and did not name it."""
    if fields["schema_version"] == 1:
        return {**fields, "methodology": 1, "schema_version": 2}
    return fields


def json_schema() -> dict[str, Any]:
    """The JSON schema of a record (draft 2020-12)."""
    return _adapter().json_schema()


def _not_finite(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Dotted places of the infinities and NaNs in plain nested data."""
    if isinstance(value, float) and not math.isfinite(value):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{place}[{index}]")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


@cache
def _adapter() -> TypeAdapter[Record]:
    from pydantic import TypeAdapter

    return TypeAdapter(Record)
