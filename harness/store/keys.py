"""The key of each stage: all that can change what comes out of it, and nothing else.

That is what its code can import and read (`code`), by content; the values it is given; the versions of the
libraries; and the machine, where something is timed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.store import code
from harness.util.environment import machine_fingerprint

if TYPE_CHECKING:
    from harness.entries.loading import SubmissionFolder
    from harness.store.sources import Tree
    from harness.tasks.task import Task
    from hw_targets.target import Effort, Target

TRAINING_FIELDS = ("name", "version", "dataset", "dataset_sha256", "model", "reference", "input", "recipe", "budget")
WORDS = ("title", "citation", "notes", "superseded_by")  # of a task


def stage_key(parts: Mapping[str, Any]) -> str:
    """Twenty hexadecimal digits that stand for `parts`: equal parts, equal key."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def reference_key(task: Task, weights_sha256: str, tree: Tree | None = None) -> str:
    """Of the dense reference as ONNX."""
    sources = code.parts_of(code.reference_sources(task, tree or code.installed()))
    return stage_key({"weights": weights_sha256, "model": task.model, "input": asdict(task.input), **sources})


def compress_key(
    task: Task, weights_sha256: str, submission: SubmissionFolder, seed: int, tree: Tree | None = None
) -> str:
    """Of the compress stage."""
    tree = tree or code.installed()
    parts = {
        "task": _training(task),
        "weights": weights_sha256,
        "submission": submission.name,
        "parameters": dict(submission.parameters),
        "seed": seed,
        **code.parts_of(code.compress_sources(task, submission, tree)),
    }
    return stage_key({**parts, "machine": machine_fingerprint()} if code.asks_for_latency(submission, tree) else parts)


@dataclass(frozen=True)
class TargetKeys:
    """Of the stages of one model on one target.

    Attributes:
        answers: of the dense reference's answers there, which all submissions share.
    """

    answers: str
    judge: str
    measure: str


def target_keys(
    task: Task, target: Target, *, model: str, dense: str, effort: Effort, repeat: int, tree: Tree | None = None
) -> TargetKeys:
    """What is judged depends on all of the task but its words; what is measured, on its inputs alone.

    Args:
        model, dense: SHA-256 of the ONNX files.
    """
    tree = tree or code.installed()
    given = {"target": target.name, "configuration": dict(target.configuration()), "machine": machine_fingerprint()}
    judging = {
        "task": {name: value for name, value in asdict(task).items() if name not in WORDS},
        **given,
        **code.parts_of(code.judge_sources(task, target, tree)),
    }
    measuring = {
        "dataset": task.dataset,
        "dataset_sha256": task.dataset_sha256,
        **given,
        **code.parts_of(code.measure_sources(task, target, tree)),
    }
    pair = {"model": model, "dense": dense}
    return TargetKeys(
        answers=stage_key({**judging, "dense": dense}),
        judge=stage_key({**judging, **pair}),
        measure=stage_key({**measuring, **pair, "effort": effort, "repeat": repeat}),
    )


def record_key(compress: str, where: str | TargetKeys, effort: Effort, repeat: int) -> str:
    """Of the record of a submission.

    Args:
        where: the target's keys; its name, where nothing came that it could be given.
    """
    rest = asdict(where) if isinstance(where, TargetKeys) else where
    return stage_key({"compress": compress, "rest": rest, "effort": effort, "repeat": repeat})


def study_parts(
    module: str, task: Task, weights_sha256: str, *, measures: bool, tree: Tree | None = None
) -> dict[str, Any]:
    """What the keys of all cells of a study on a task are made of.

    Args:
        module: of the study.
        measures: its cells time something.
    """
    parts = {
        "study": module,
        "task": _training(task),
        "reference": weights_sha256,
        **code.parts_of(code.study_sources(module, task, tree or code.installed())),
    }
    return {**parts, "machine": machine_fingerprint()} if measures else parts


def _training(task: Task) -> dict[str, Any]:
    return {name: value for name, value in asdict(task).items() if name in TRAINING_FIELDS}
