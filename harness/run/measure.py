"""The second stage of a run: one compressed model on one target, judged and measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.entries.rules import HarnessError, RuleBroken
from harness.store.keys import dense_answers_key, measure_key
from harness.store.methodology import METHODOLOGY
from harness.store.quality import Quality, judge
from harness.store.store import Store
from harness.tasks.task import Task
from harness.util.names import UsageError
from hw_targets.target import Effort, Measurement, ModelRefused, Session, Target, TargetError, Unavailable

if TYPE_CHECKING:
    import onnx

    from harness.data.dataset import Part

MEASURING_SAMPLES = 256


@dataclass(frozen=True)
class Subject:
    """What is measured: an entry's file and the dense reference's, both in the store."""

    model: Path
    model_sha256: str
    dense: Path
    dense_sha256: str

    def key(self, task: Task, target: Target, effort: Effort, repeat: int) -> str:
        """Of the stage that measures it."""
        return measure_key(
            task, model=self.model_sha256, dense=self.dense_sha256, target=target, effort=effort, repeat=repeat
        )


def measure_stage(
    task: Task,
    subject: Subject,
    target: Target,
    *,
    effort: Effort,
    repeat: int,
    store: Store,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Admit, judge and measure once for each key, and return the stage's result.

    Returns:
        `key`, `environment`, `methodology`, and either `rule`, `message`, `detail` (the entry broke a rule) or
        `quality` and `measurement`, as plain values.

    Raises:
        HarnessError: the target is not available here, or could not measure.
    """
    key = subject.key(task, target, effort, repeat)

    def work(scratch: Path) -> Mapping[str, Any]:
        from harness.util.environment import describe_environment

        available = target.availability()
        if isinstance(available, Unavailable):
            raise HarnessError(f"target {target.name} is not available here: {available.reason}")
        environment = {**describe_environment(), "device": available.detail}
        outcome: dict[str, Any] = {"environment": environment, "methodology": METHODOLOGY}
        try:
            quality, measurement = _judge_and_measure(task, subject, target, effort, scratch, store, say)
        except RuleBroken as broken:
            return {**outcome, "rule": broken.rule, "message": str(broken), "detail": broken.detail}
        except (HarnessError, UsageError, OSError):
            raise
        except TargetError as error:
            raise HarnessError(f"target {target.name}: {error}") from error
        except Exception as error:  # one target's failure must not cost the others theirs
            raise HarnessError(f"target {target.name} failed: {type(error).__name__}: {error}") from error
        return {**outcome, "quality": asdict(quality), "measurement": asdict(measurement)}

    return {"key": key, **store.do("measure", key, work)}


def _judge_and_measure(
    task: Task,
    subject: Subject,
    target: Target,
    effort: Effort,
    scratch: Path,
    store: Store,
    say: Callable[[str], None],
) -> tuple[Quality, Measurement]:
    import onnx

    from harness.data import load_dataset
    from harness.entries.admit import admit
    from harness.run.evaluate import (
        BATCH_SIZE,
        as_session,
        check_batch_effect,
        check_batch_independence,
        correct_answers,
        worst_answers,
    )
    from hw_targets.graph.integers import has_ranges_at_run_time

    model = admit(subject.model, task.input, limit_bytes=task.budget.onnx_bytes)
    dense = onnx.load_model_from_string(subject.dense.read_bytes())
    data = load_dataset(task.dataset)

    if data.content_sha256 != task.dataset_sha256:
        raise HarnessError(f"{task.name} is about data with SHA-256 {task.dataset_sha256}, not {data.content_sha256}")

    def right(session: Session, label: str, batch_size: int = BATCH_SIZE) -> np.ndarray:
        test = data.loader("test", batch_size=batch_size)
        return correct_answers(session, test, classes=task.input.classes, label=label)

    def inputs(part: Part) -> np.ndarray:
        return next(iter(data.loader(part, batch_size=MEASURING_SAMPLES)))[0].contiguous().numpy()

    samples = inputs("validation")
    say(f"judging on the {len(data.test):,} test samples")

    def dense_right() -> np.ndarray:
        try:
            return right(as_session(target.numerics(dense, samples)), "Judging the dense reference")
        except (RuleBroken, ModelRefused) as broken:
            raise HarnessError(f"the dense reference itself cannot be judged on {target.name}: {broken}") from broken

    reference = _once_per_store(store, task, subject, target, dense_right)
    _check_layers(model, samples[:1])
    try:
        numerics = target.numerics(model, samples)
        session = as_session(numerics)
    except ModelRefused as refused:
        raise RuleBroken("target_refuses", str(refused)) from refused
    same = subject.model_sha256 == subject.dense_sha256
    if isinstance(numerics, onnx.ModelProto) and has_ranges_at_run_time(numerics):
        check_batch_effect(session, inputs("test"))
        entry = worst_answers(lambda size: right(session, f"Judging the entry in batches of {size}", size))
    else:
        entry = reference if same else right(session, "Judging the entry")
        check_batch_independence(session, inputs("test"))
    quality = judge(entry, reference, metric=task.metric, quality_target=task.quality_target)
    say(f"measuring on {target.name}, effort {effort}")
    try:
        return quality, target.measure(model, dense, samples, effort, _workdir(scratch))
    except ModelRefused as refused:
        raise RuleBroken("target_refuses", str(refused)) from refused


def _once_per_store(
    store: Store, task: Task, subject: Subject, target: Target, right: Callable[[], np.ndarray]
) -> np.ndarray:
    """The dense reference's answers on a target, bool `[n]`: found once, for all entries."""
    key = dense_answers_key(task, dense=subject.dense_sha256, target=target)

    def work(scratch: Path) -> Mapping[str, Any]:
        answers = right()
        return {"samples": answers.size, "right": np.packbits(answers).tobytes().hex()}

    done = store.do("reference", key, work)
    bits = np.frombuffer(bytes.fromhex(done["right"]), np.uint8)
    return np.unpackbits(bits, count=done["samples"]).astype(bool)


def _check_layers(model: onnx.ModelProto, sample: np.ndarray) -> None:
    """Every layer can be traced, or no operation could be counted: found out before hours of measuring."""
    from hw_targets.graph.trace import trace

    try:
        trace(model, sample)
    except ValueError as error:
        raise RuleBroken("not_countable", f"The model's layers cannot be counted: {error}") from error


def _workdir(scratch: Path) -> Path:
    folder = scratch / "logs"
    folder.mkdir()
    return folder


def read_measurement(fields: Mapping[str, Any]) -> Measurement:
    """The measurement as it was before it went through JSON."""
    from pydantic import TypeAdapter

    return TypeAdapter(Measurement).validate_json(json.dumps(fields))
