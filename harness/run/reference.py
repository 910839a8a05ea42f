"""The dense reference of a task: obtained where it is missing, and then judged on the full test set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.references.find import ReferenceFile
from harness.references.load import example_inputs, reference_module
from harness.references.obtain import obtain_reference
from harness.tasks.task import Task
from harness.util.files import write_atomically

if TYPE_CHECKING:
    from harness.references.train import ReferenceFiles

SUBSET = 1000  # first samples of the test set, for a quick check of a reference


def reference_file(task: Task) -> ReferenceFile:
    """`task`'s reference, trained or fetched first where that is how it comes about.

    Raises:
        UsageError: it is not there and cannot be had here, or is not the file that the task names.
    """
    return obtain_reference(task, judge_reference)


def judge_reference(task: Task, files: ReferenceFiles) -> dict[str, Any]:
    """Run the full test set through the exported reference, and add the result to its record."""
    from harness.data import load_dataset
    from harness.entries.export import export_onnx
    from harness.run.evaluate import BATCH_SIZE, OrtSession, correct_answers

    test = load_dataset(task.dataset).loader("test", batch_size=BATCH_SIZE)
    model = export_onnx(reference_module(task, files.weights), example_inputs(task.input))
    right = correct_answers(OrtSession(model), test, classes=task.input.classes, label="Judging the reference")
    record = json.loads(files.record.read_text())
    record["test_accuracy"] = float(right.mean())
    record["test_accuracy_of_first_1000"] = float(right[:SUBSET].mean())
    write_atomically(files.record, json.dumps(record, indent=1) + "\n")
    return record
