"""One submission on a list of targets: compressed once, judged and measured on each, recorded.

    Request → Delivered → Judged → Measured → Record

What is finished is found again by its key, so a second call does nothing, and a killed one goes on where it was.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace

from harness.entries.rules import HarnessError
from harness.run.compressing import Delivered, compress
from harness.run.judging import Judged, judge
from harness.run.measuring import measure
from harness.run.preparing import prepare
from harness.run.record import Line, make_record
from harness.run.values import Broken, Failed, Pair, Prepared, Request
from harness.store.keys import record_key, target_keys
from harness.store.model import StoredModel
from harness.store.records import Record
from harness.store.store import Store
from hw_targets.target import Target


@dataclass(frozen=True)
class Outcome:
    """The records of a job, and which of them were made just now."""

    records: tuple[Record, ...]
    fresh: tuple[str, ...]


def run(request: Request, store: Store) -> Outcome:
    """Do what is not done yet of `request` and return its records, one for each target.

    What begins is told to the logger `harness.run`.

    Raises:
        UsageError: the reference or the data set is missing, or the submission's parameters make no sense.
        OSError: the store cannot be written.
    """
    prepared = prepare(request, store)
    try:
        delivered: Delivered | Broken | Failed = compress(request, prepared, store)
    except HarnessError as error:
        delivered = _failed(error)
    records, fresh = [], []
    for target in request.targets:
        line = _begun(request, target, prepared, delivered, store)
        record = _settled(store, line.id)
        if record is None:
            record = make_record(_followed(line, store))
            store.write(record)
            fresh.append(record.id)
        records.append(record)
    return Outcome(tuple(records), tuple(fresh))


def _begun(
    request: Request, target: Target, prepared: Prepared, delivered: Delivered | Broken | Failed, store: Store
) -> Line:
    key, effort, repeat = prepared.key, request.effort, request.repeat
    undelivered = record_key(key, target.name, effort, repeat)
    if not isinstance(delivered, Delivered):
        return Line(undelivered, request, target, key, delivered)
    store.forget_error(undelivered)  # of an earlier try at compressing
    model, dense = StoredModel(store.stage("compress", key) / "model.onnx", delivered.onnx_sha256), prepared.dense
    keys = target_keys(request.task, target, model=model.sha256, dense=dense.sha256, effort=effort, repeat=repeat)
    return Line(record_key(key, keys, effort, repeat), request, target, key, delivered, Pair(model, dense, keys))


def _followed(line: Line, store: Store) -> Line:
    """`line`, judged and measured as far as it goes."""
    if line.pair is None:
        return line
    call = (line.request, line.target, line.pair, store)
    try:
        line = replace(line, judged=judge(*call))
    except HarnessError as error:
        return replace(line, judged=_failed(error))
    if not isinstance(line.judged, Judged):
        return line
    try:
        return replace(line, measured=measure(*call))
    except HarnessError as error:
        return replace(line, measured=_failed(error))


def _failed(error: HarnessError) -> Failed:
    cause = "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else ""
    return Failed(str(error), cause)


def _settled(store: Store, record_id: str) -> Record | None:
    """The record that is there, unless it tells of the harness's own failure: then we try again."""
    known = store.read(record_id)
    return known if known is not None and known.verdict != "error" else None
