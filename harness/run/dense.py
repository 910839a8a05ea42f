"""The stage before all others: the dense reference as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.environment import sha256_of_file
from harness.keys import reference_key
from harness.run.reference import example_inputs, reference_module
from harness.store import Store
from harness.tasks.task import Task

if TYPE_CHECKING:
    from harness.references import ReferenceFile


def dense_stage(task: Task, weights: ReferenceFile, store: Store) -> str:
    """Export the dense reference once for each store, and return its stage's key."""
    key = reference_key(task, weights.sha256)

    def work(scratch: Path) -> dict:
        from harness.run.export import export_onnx

        model = reference_module(task, weights.path)
        (scratch / "model.onnx").write_bytes(export_onnx(model, example_inputs(task.input)).SerializeToString())
        return {"onnx_sha256": sha256_of_file(scratch / "model.onnx")}

    store.do("reference", key, work)
    return key
