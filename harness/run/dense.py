"""The stage before all others: the dense reference as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.references.load import example_inputs, reference_module
from harness.store.keys import reference_key
from harness.store.model import StoredModel
from harness.store.store import Store
from harness.tasks.task import Task
from harness.util.files import sha256_of_file

if TYPE_CHECKING:
    from harness.references.find import ReferenceFile


def dense_model(task: Task, weights: ReferenceFile, store: Store) -> StoredModel:
    """The dense reference as ONNX, exported once for each store.

    Raises:
        OSError: the store cannot be written.
    """
    key = reference_key(task, weights.sha256)

    def work(scratch: Path) -> dict[str, str]:
        from harness.entries.export import export_onnx

        model = reference_module(task, weights.path)
        (scratch / "model.onnx").write_bytes(export_onnx(model, example_inputs(task.input)).SerializeToString())
        return {"onnx_sha256": sha256_of_file(scratch / "model.onnx")}

    done = store.do("reference", key, work)
    return StoredModel(store.stage("reference", key) / "model.onnx", done["onnx_sha256"])
