"""The dense reference on the full test set, when it has just been made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.run.reference import example_inputs, reference_module
from harness.store import write_atomically
from harness.tasks.task import Task

if TYPE_CHECKING:
    from harness.training.reference import ReferenceFiles

SUBSET = 1000  # first samples of the test set, for a quick check of a reference


def judge_reference(task: Task, files: ReferenceFiles) -> dict[str, Any]:
    """Run the full test set through the exported reference, and add the result to its record."""
    from harness.data import load_dataset
    from harness.evaluate import BATCH_SIZE, OrtSession, correct_answers
    from harness.run.export import export_onnx

    test = load_dataset(task.dataset).loader("test", batch_size=BATCH_SIZE)
    model = export_onnx(reference_module(task, files.weights), example_inputs(task.input))
    right = correct_answers(OrtSession(model), test, classes=task.input.classes, label="Judging the reference")
    record = json.loads(files.record.read_text())
    record["test_accuracy"] = float(right.mean())
    record["test_accuracy_of_first_1000"] = float(right[:SUBSET].mean())
    write_atomically(files.record, json.dumps(record, indent=1) + "\n")
    return record
