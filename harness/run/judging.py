"""The second stage of a run: a model is admitted, and judged on a target's own numerics."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.entries.rules import HarnessError, RuleBroken
from harness.run.faults import environment_of, faults_of
from harness.run.inputs import real_inputs, test_data
from harness.run.stage import Stage
from harness.run.values import Broken, Pair, Request
from harness.store.quality import Quality, quality_of
from harness.store.store import Store
from hw_targets.target import ModelRefused, Target

if TYPE_CHECKING:
    import onnx

    from harness.data.dataset import Dataset
    from harness.tasks.task import Task

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """How good the model is on a target's numerics."""

    quality: Quality


JUDGE: Stage[Judged | Broken] = Stage("judge", Judged | Broken)


def judge(request: Request, target: Target, pair: Pair, store: Store) -> Judged | Broken:
    """Admit the submission's model and run the whole test set through it, once for each key.

    Raises:
        HarnessError: the target is not available here, or failed.
        OSError: the store cannot be written.
    """

    def work(scratch: Path) -> Judged | Broken:
        environment = environment_of(target)
        try:
            with faults_of(target):
                return Judged(_quality(request, target, pair, store))
        except RuleBroken as broken:
            return Broken(broken.failure, environment=environment)

    return JUDGE.do(store, pair.keys.judge, work)


def _quality(request: Request, target: Target, pair: Pair, store: Store) -> Quality:
    from harness.entries.admit import admit
    from harness.run.evaluate import steady_answers

    task = request.task
    pair.model.check()
    model = admit(pair.model.path, task.input, limit_bytes=task.budget.onnx_bytes)
    data = test_data(task)
    log.info("[%s] judging on the %s test samples", request.submission.name, f"{len(data.test):,}")
    samples = real_inputs(data, "validation")
    reference = _dense_answers(task, target, pair, samples, data, store)
    _check_layers(model, samples[:1])
    same = pair.model.sha256 == pair.dense.sha256
    right = steady_answers(target.numerics(model, samples), task, data, known=reference if same else None)
    return quality_of(right, reference, metric=task.metric, quality_target=task.quality_target)


def _dense_answers(
    task: Task, target: Target, pair: Pair, samples: np.ndarray, data: Dataset, store: Store
) -> np.ndarray:
    """The dense reference's answers on a target, bool `[n]`: found once in a store, for all submissions."""
    from harness.run.evaluate import test_answers

    def work(scratch: Path) -> Mapping[str, Any]:
        try:
            answers = test_answers(target.numerics(pair.dense.read(), samples), task, data, "the dense reference")
        except (RuleBroken, ModelRefused) as broken:
            raise HarnessError(f"the dense reference itself cannot be judged on {target.name}: {broken}") from broken
        return {"samples": answers.size, "right": np.packbits(answers).tobytes().hex()}

    done = store.do("reference", pair.keys.answers, work)
    bits = np.frombuffer(bytes.fromhex(done["right"]), np.uint8)
    return np.unpackbits(bits, count=done["samples"]).astype(bool)


def _check_layers(model: onnx.ModelProto, sample: np.ndarray) -> None:
    """Every layer can be traced, or no operation could be counted: found out before hours of measuring."""
    from hw_targets.graph.trace import trace

    try:
        trace(model, sample)
    except ValueError as error:
        raise RuleBroken("not_countable", f"The model's layers cannot be counted: {error}") from error
