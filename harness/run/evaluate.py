"""One evaluator for every target: the full test set through a graph or a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import onnx

from harness.data.dataset import Loader
from harness.entries.rules import HarnessError, RuleBroken
from harness.run.inputs import real_inputs
from harness.util.progress import progress_bar
from hw_targets.graph.integers import has_ranges_at_run_time
from hw_targets.target import Session, TargetError

if TYPE_CHECKING:
    from harness.data.dataset import Dataset
    from harness.tasks.task import Task

BATCH_SIZE = 100
SAME_ANSWERS = 0.75  # at least, of a model whose rounding depends on the batch
MEASURED_BATCHES = (1, 32)  # what a target gives a model at once: a query of SingleStream, a call in Offline


class OrtSession:
    """An ONNX graph in ONNX Runtime on the CPU, as a `Session`."""

    def __init__(self, model: onnx.ModelProto, threads: int | None = None) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        try:
            self.session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise RuleBroken("runtime_refuses", f"ONNX Runtime cannot load the model: {error}") from error
        self.input = self.session.get_inputs()[0].name
        self.output = self.session.get_outputs()[0].name

    def run(self, inputs: np.ndarray) -> np.ndarray:
        return self.session.run([self.output], {self.input: inputs})[0]


def as_session(numerics: onnx.ModelProto | Session) -> Session:
    """What a target's `numerics` gave, ready to run."""
    return OrtSession(numerics) if isinstance(numerics, onnx.ModelProto) else numerics


def correct_answers(session: Session, test: Loader, *, classes: int, label: str) -> np.ndarray:
    """Whether each sample of `test` is classified rightly, bool `[n]`, in its order.

    Raises:
        RuleBroken: `wrong_output` or `not_finite` where the outputs' shape or values are wrong,
            `runtime_fails` where the model cannot be run.
        HarnessError: the test set is empty.
    """
    right = []
    with progress_bar(label, test.sample_count, unit="samples") as advance:
        for inputs, labels in test:
            batch = inputs.contiguous().numpy()
            outputs = _run(session, batch)
            _check_outputs(outputs, len(batch), classes)
            right.append(outputs.argmax(1) == labels.numpy())
            advance(len(batch))
    if not right:
        raise HarnessError("the test set is empty")
    return np.concatenate(right)


def test_answers(
    numerics: onnx.ModelProto | Session, task: Task, data: Dataset, whose: str, batch_size: int = BATCH_SIZE
) -> np.ndarray:
    """Whether each test sample is classified rightly, bool `[n]`.

    Args:
        whose: of what model, for the progress bar.

    Raises:
        RuleBroken: as `correct_answers`, or `runtime_refuses`.
        HarnessError: the test set is empty.
    """
    test = data.loader("test", batch_size=batch_size)
    return correct_answers(as_session(numerics), test, classes=task.input.classes, label=f"Judging {whose}")


def steady_answers(
    numerics: onnx.ModelProto | Session, task: Task, data: Dataset, *, known: np.ndarray | None = None
) -> np.ndarray:
    """The same of a submission's model, which has to answer alike in whatever batch a sample comes.

    Args:
        known: the answers, where the model was judged before: then only its batches are looked at.

    Raises:
        RuleBroken: as `test_answers`, or `batch_dependent`.
    """
    session = as_session(numerics)
    inputs = real_inputs(data, "test")
    if isinstance(numerics, onnx.ModelProto) and has_ranges_at_run_time(numerics):
        check_batch_effect(session, inputs)
        return worst_answers(
            lambda size: test_answers(session, task, data, f"the submission in batches of {size}", size)
        )
    answers = known if known is not None else test_answers(session, task, data, "the submission")
    check_batch_independence(session, inputs)
    return answers


def worst_answers(answers: Callable[[int], np.ndarray]) -> np.ndarray:
    """The answers of the batch size at which fewest are right, of the one judged in and those measured in.

    For a model whose numbers depend on its batch by right: dynamic quantisation takes the ranges of
    activations from the whole of it. It has to be good enough wherever it is used.

    Args:
        answers: batch size → whether each sample is classified rightly, bool `[n]`.
    """
    return min((answers(size) for size in (BATCH_SIZE, *MEASURED_BATCHES)), key=np.count_nonzero)


def check_batch_independence(session: Session, inputs: np.ndarray) -> None:
    """Hold the outputs for single samples and for odd batches against those of one large batch.

    Quality is judged in batches of 100, latency is measured one by one, throughput in yet another
    batch: a graph that looks at its batch size could do the work only where it is judged.

    Args:
        inputs: real inputs `[n, …]`, n ≥ 100; the batches are drawn anew at each call.

    Raises:
        RuleBroken: `batch_dependent`; or the model fails at one of the sizes.
    """
    for outputs, expected, tolerance in _in_smaller_batches(session, inputs):
        if not np.all(np.abs(outputs - expected) <= tolerance):
            raise _batch_dependent(len(outputs))


def check_batch_effect(session: Session, inputs: np.ndarray) -> None:
    """The same where outputs depend on the batch by right: at least three in four answers must stay.

    That is soon found out; how good the answers are, `worst_answers` tells.
    """
    found = list(_in_smaller_batches(session, inputs))
    same = sum(np.count_nonzero(outputs.argmax(1) == expected.argmax(1)) for outputs, expected, _ in found)
    asked = sum(len(outputs) for outputs, _, _ in found)
    if same < SAME_ANSWERS * asked:
        raise RuleBroken(
            "batch_dependent",
            f"Of {asked} answers in smaller batches {asked - same} are others than in one of {BATCH_SIZE}, "
            "more than ranges found at run time explain.",
        )


def _in_smaller_batches(session: Session, inputs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Outputs of several batches drawn from `inputs`, those of one large batch for the same samples, a tolerance."""
    whole = _run(session, inputs[:BATCH_SIZE])
    tolerance = 1e-2 * max(1.0, float(np.abs(whole).max()))
    draw = np.random.default_rng()
    for size in (1, 1, 2, 32, int(draw.integers(3, 32)), int(draw.integers(33, 64))):
        index = draw.choice(len(whole), size, replace=False)
        outputs = _run(session, inputs[index])
        if outputs.shape != whole[index].shape:
            raise _batch_dependent(size)
        yield outputs, whole[index], tolerance


def _batch_dependent(size: int) -> RuleBroken:
    return RuleBroken(
        "batch_dependent",
        f"In a batch of {size} the model answers otherwise than in one of {BATCH_SIZE} for the same samples.",
    )


def _run(session: Session, batch: np.ndarray) -> np.ndarray:
    try:
        return session.run(batch)
    except (TargetError, MemoryError, OSError):
        raise
    except Exception as error:
        raise RuleBroken("runtime_fails", f"The model fails on a batch of {len(batch)} samples: {error}") from error


def _check_outputs(outputs: np.ndarray, batch: int, classes: int) -> None:
    if outputs.shape != (batch, classes):
        raise RuleBroken(
            "wrong_output", f"The model gives {list(outputs.shape)} for a batch of {batch}, not [{batch}, {classes}]."
        )
    if not np.isfinite(outputs).all():
        raise RuleBroken("not_finite", "The model's outputs on the test set hold NaN or infinite values.")
