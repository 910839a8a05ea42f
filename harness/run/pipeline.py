"""One entry on a list of targets: compressed once, judged and measured on each, recorded.

What is finished is found again by its key, so a second call does nothing, and a killed one goes on
where it was.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.entries.loading import Entry
from harness.entries.rules import HarnessError
from harness.references.find import Missing, ReferenceFile, find_reference
from harness.run.checking import check_stage
from harness.run.compress import compress_stage
from harness.run.dense import dense_stage
from harness.run.measure import Subject, measure_stage, read_measurement
from harness.run.reference import reference_file
from harness.store.keys import compress_key
from harness.store.quality import Quality
from harness.store.records import Compression, Failure, Record
from harness.store.store import Store, stage_key
from harness.tasks.task import Task
from harness.util.environment import describe_environment
from hw_targets.target import Effort, Target


@dataclass(frozen=True)
class Request:
    """One job: an entry on a list of targets.

    Attributes:
        repeat: which measurement this is; equal numbers are the same measurement.
        task_modified: the task is not as its file has it.
    """

    task: Task
    entry: Entry
    targets: tuple[Target, ...]
    seed: int = 0
    effort: Effort = "quick"
    repeat: int = 0
    task_modified: bool = False


@dataclass(frozen=True)
class Outcome:
    """The records of a job, and which of them were made just now."""

    records: tuple[Record, ...]
    fresh: tuple[str, ...]


def run(request: Request, store: Store, say: Callable[[str], None] | None = None) -> Outcome:
    """Do what is not done yet of `request` and return its records, one for each target.

    Args:
        say: is told what begins; by default a line on standard error.

    Raises:
        UsageError: the reference or the data set is missing, or the entry's parameters make no sense.
        OSError: the store cannot be written.
    """
    say = say or (lambda line: print(f"[{request.entry.name}] {line}", file=sys.stderr, flush=True))
    missing = isinstance(find_reference(request.task), Missing)
    if missing:  # to train it may take an hour
        check_stage(request.task, request.entry, request.seed)
    weights = _reference(request.task)
    key = compress_key(request.task, weights.sha256, request.entry, request.seed)
    if not missing and not store.finished("compress", key):
        check_stage(request.task, request.entry, request.seed)
    dense_key = dense_stage(request.task, weights, store)
    if not store.finished("compress", key):
        say(f"compressing, seed {request.seed}")
        _require_data(request.task)
    try:
        compressed = compress_stage(request.task, weights, request.entry, request.seed, store)
    except HarnessError as error:
        failed = {"key": key, "time_s": 0.0, "samples_trained": 0}
        records = [_error(request, target, failed, error) for target in request.targets]
        return _keep(store, records)
    dense = store.stage("reference", dense_key) / "model.onnx"
    records, fresh = [], []
    for target in request.targets:
        record, new = _one_target(request, target, compressed, dense, store.result("reference", dense_key), store, say)
        if new:
            store.write(record)
            fresh.append(record.id)
        records.append(record)
    return Outcome(tuple(records), tuple(fresh))


def _reference(task: Task) -> ReferenceFile:
    """The reference; where neither it nor the data are there, the data come first, as they say what is missing."""
    if isinstance(find_reference(task), Missing):
        _require_data(task)
    return reference_file(task)


def _require_data(task: Task) -> None:
    """Fetch the data set here, where a progress bar can be seen, and not in the worker."""
    from harness.data import load_dataset

    load_dataset(task.dataset)


def _keep(store: Store, records: Sequence[Record]) -> Outcome:
    for record in records:
        store.write(record)
    return Outcome(tuple(records), tuple(record.id for record in records))


def _one_target(
    request: Request,
    target: Target,
    compressed: dict[str, Any],
    dense: Any,
    dense_result: dict[str, Any],
    store: Store,
    say: Callable[[str], None],
) -> tuple[Record, bool]:
    """The record of this entry on this target, and whether it is new."""
    if compressed.get("rule"):
        failure = Failure(compressed["rule"], compressed["message"], compressed["detail"])
        record_id = _record_id(compressed["key"], target.name, request)
        old = _settled(store, record_id)
        return (old, False) if old else (_record(request, target, record_id, compressed, failure=failure), True)
    store.forget_error(_record_id(compressed["key"], target.name, request))  # of an earlier try at compressing
    model = store.stage("compress", compressed["key"]) / "model.onnx"
    subject = Subject(model, compressed["onnx_sha256"], dense, dense_result["onnx_sha256"])
    record_id = _record_id(
        compressed["key"], subject.key(request.task, target, request.effort, request.repeat), request
    )
    old = _settled(store, record_id)
    if old:
        return old, False
    try:
        measured = measure_stage(
            request.task, subject, target, effort=request.effort, repeat=request.repeat, store=store, say=say
        )
    except HarnessError as error:
        return _error(request, target, compressed, error, record_id), True
    return _judged(request, target, record_id, compressed, measured), True


def _settled(store: Store, record_id: str) -> Record | None:
    """The record that is there, unless it tells of the harness's own failure: then we try again."""
    old = store.read(record_id)
    return old if old is not None and old.verdict != "error" else None


def _judged(
    request: Request, target: Target, record_id: str, compressed: dict[str, Any], measured: dict[str, Any]
) -> Record:
    folder = f"measure/{measured['key']}/logs"
    if measured.get("rule"):
        broken = Failure(measured["rule"], measured["message"], measured["detail"])
        kept = {name: measured[name] for name in ("environment", "methodology") if name in measured}
        return _record(request, target, record_id, compressed, failure=broken, **kept)
    quality, measurement = Quality(**measured["quality"]), read_measurement(measured["measurement"])
    failure: Failure | None = None
    if quality.value < quality.quality_target:
        failure = Failure(
            "quality_target",
            f"{quality.metric} is {quality.value:.4f}; the task asks for at least {quality.quality_target:.4f}.",
        )
    return _record(
        request,
        target,
        record_id,
        compressed,
        failure=failure,
        quality=quality,
        quantities=dict(measurement.quantities),
        absent=dict(measurement.absent),
        samples=dict(measurement.samples),
        layers=[dict(row) for row in measurement.layers],
        conditions=dict(measurement.conditions),
        noisy=measurement.noisy,
        artifacts=[f"{folder}/{name}" for name in measurement.artifacts],
        environment={**measured["environment"], **_load(measurement.conditions)},
        methodology=measured.get("methodology", 1),
    )


def _load(conditions: Any) -> dict[str, Any]:
    """Threads and load of the measurement belong to the environment as well."""
    return {name: conditions[name] for name in ("threads", "load") if name in conditions}


def _error(
    request: Request, target: Target, compressed: dict[str, Any], error: HarnessError, record_id: str | None = None
) -> Record:
    cause = "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else ""
    record_id = record_id or _record_id(compressed["key"], target.name, request)
    return _record(
        request, target, record_id, compressed, failure=Failure("harness", str(error), cause), verdict="error"
    )


def _record_id(compress: str, rest: str, request: Request) -> str:
    return stage_key({"compress": compress, "rest": rest, "effort": request.effort, "repeat": request.repeat})


def _record(
    request: Request,
    target: Target,
    record_id: str,
    compressed: dict[str, Any],
    *,
    failure: Failure | None,
    verdict: Any = None,
    artifacts: Sequence[str] = (),
    **fields: Any,
) -> Record:
    sha256 = compressed.get("onnx_sha256", "")
    stage = f"compress/{compressed['key']}"
    made = [f"{stage}/model.onnx"] if sha256 else []
    fields.setdefault("environment", describe_environment())
    return Record(
        id=record_id,
        run=compressed["key"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=request.task.name,
        task_version=request.task.version,
        submission=request.entry.name,
        target=target.name,
        seed=request.seed,
        repeat=request.repeat,
        effort=request.effort,
        verdict=verdict or ("invalid" if failure else "valid"),
        compression=Compression(compressed["key"], compressed["time_s"], compressed["samples_trained"], sha256),
        failure=failure,
        parameters=dict(request.entry.parameters),
        target_configuration=dict(target.configuration()),
        task_modified=request.task_modified,
        artifacts=[*made, *artifacts],
        **fields,
    )
