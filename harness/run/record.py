"""The end of a run: how far a submission came on a target, its verdict, and the record of both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.entries.rules import Failure
from harness.run.compressing import Delivered
from harness.run.judging import Judged
from harness.run.measuring import Measured
from harness.run.values import Broken, Failed, Pair, Request
from harness.store.quality import Quality
from harness.store.records import Compression, Record, Verdict
from harness.util.environment import describe_environment
from hw_targets.target import Target


@dataclass(frozen=True)
class Line:
    """How far a job came on one target; None for a stage that was not begun.

    Attributes:
        id: of the record.
        key: of the compress stage.
        pair: what the target is given; None where nothing was delivered.
    """

    id: str
    request: Request
    target: Target
    key: str
    delivered: Delivered | Broken | Failed
    pair: Pair | None = None
    judged: Judged | Broken | Failed | None = None
    measured: Measured | Broken | Failed | None = None


def verdict(line: Line) -> tuple[Verdict, Failure | None]:
    """`valid`; `invalid`, by the submission's fault; `error`, by the harness's; and what failed.

    Whatever did not come to its end is not valid.
    """
    end = line.measured or line.judged or line.delivered
    if isinstance(end, Broken):
        return "invalid", end.failure
    if isinstance(end, Failed):
        return "error", Failure("harness", end.message, end.cause)
    quality = _quality(line)
    if quality is None or not isinstance(end, Measured):
        return "error", Failure("harness", "The run ended before the model was judged and measured; run again.")
    if not quality.value >= quality.quality_target:
        return "invalid", Failure(
            "quality_target",
            f"{quality.metric} is {quality.value:.4f}; the task asks for at least {quality.quality_target:.4f}.",
        )
    return "valid", None


def make_record(line: Line) -> Record:
    """The record of all that came of it."""
    request, (given, failure) = line.request, verdict(line)
    return Record(
        id=line.id,
        run=line.key,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=request.task.name,
        task_version=request.task.version,
        submission=request.submission.name,
        target=line.target.name,
        seed=request.seed,
        repeat=request.repeat,
        effort=request.effort,
        verdict=given,
        compression=_compression(line),
        quality=_quality(line),
        failure=failure,
        parameters=dict(request.submission.parameters),
        target_configuration=dict(line.target.configuration()),
        task_modified=request.task_modified,
        **_found(line),
    )


def _compression(line: Line) -> Compression:
    came = line.delivered
    if isinstance(came, Failed):
        return Compression(line.key, 0.0, 0)
    sha256 = came.onnx_sha256 if isinstance(came, Delivered) else ""
    return Compression(line.key, came.time_s, came.samples_trained, sha256)


def _quality(line: Line) -> Quality | None:
    return line.judged.quality if isinstance(line.judged, Judged) else None


def _found(line: Line) -> dict[str, Any]:
    """What the target found, and where."""
    model = [f"compress/{line.key}/model.onnx"] if line.pair else []
    end = line.measured or line.judged or line.delivered
    if line.pair is None or not isinstance(end, Measured):
        seen = dict(end.environment) if isinstance(end, Broken) else {}
        return {"artifacts": model, "environment": seen or describe_environment()}
    found = end.measurement
    busy = {name: found.conditions[name] for name in ("threads", "load") if name in found.conditions}
    return {
        "quantities": dict(found.quantities),
        "absent": dict(found.absent),
        "samples": dict(found.samples),
        "layers": [dict(row) for row in found.layers],
        "conditions": dict(found.conditions),
        "noisy": found.noisy,
        "artifacts": [*model, *(f"measure/{line.pair.keys.measure}/logs/{name}" for name in found.artifacts)],
        "environment": {**end.environment, **busy},
        "methodology": end.methodology,
    }
