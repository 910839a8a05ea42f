"""The dense reference: shipped or rebuilt weights, as a module and as ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import data_root
from harness.entries import REPOSITORY, hash_sources
from harness.environment import library_versions, sha256_of_file
from harness.names import UsageError
from harness.store import Store, stage_key, write_atomically
from harness.tasks.task import Task

if TYPE_CHECKING:
    from torch import nn

    from harness.training.reference import ReferenceFiles

SHIPPED = Path(__file__).resolve().parent.parent / "tasks" / "references"


def reference_weights(task: Task) -> Path:
    """The file with the reference's weights, shipped or from the user's cache, its hash verified.

    Raises:
        UsageError: it is not there, or is not the file that the task names.
    """
    places = (SHIPPED / task.reference.weights, data_root() / "references" / task.reference.weights)
    found = [path for path in places if path.is_file()]
    if not found:
        raise UsageError(
            f"The reference weights of {task.name} version {task.version} are in none of: "
            f"{', '.join(map(str, places))}. They come with the repository: git checkout {task.reference.weights}. "
            "Weights trained anew (openprune train) are another reference: name their hash and value in the task."
        )
    actual = sha256_of_file(found[0])
    if actual != task.reference.sha256:
        raise UsageError(
            f"{found[0]} is not the reference of {task.name} version {task.version}: "
            f"expected SHA-256 {task.reference.sha256}, found {actual}. Restore the file (git checkout)."
        )
    return found[0]


def reference_module(task: Task, weights: Path) -> nn.Module:
    """The dense reference in float32, in evaluation mode.

    Raises:
        UsageError: the weights do not fit the task's model.
    """
    from safetensors.torch import load_file

    from harness.models import build_model

    model = build_model(task.model, seed=0)
    try:
        model.load_state_dict(
            {
                name: tensor.float() if tensor.is_floating_point() else tensor
                for name, tensor in load_file(weights).items()
            }
        )
    except RuntimeError as error:
        raise UsageError(f"{weights} does not fit {task.model}: {error}") from error
    return model.eval()


def dense_stage(task: Task, store: Store) -> str:
    """Export the dense reference once for each store, and return its stage's key."""
    weights = reference_weights(task)
    sources = hash_sources([REPOSITORY / "harness" / "models", REPOSITORY / "harness" / "run" / "export.py"])
    key = stage_key(
        {"weights": task.reference.sha256, "model": task.model, "sources": sources, "versions": library_versions()}
    )

    def work(scratch: Path) -> dict:
        import torch

        from harness.run.export import export_onnx

        sample = torch.zeros(2, *task.input.shape, dtype=getattr(torch, task.input.dtype))
        (scratch / "model.onnx").write_bytes(export_onnx(reference_module(task, weights), sample).SerializeToString())
        return {"onnx_sha256": sha256_of_file(scratch / "model.onnx")}

    store.do("reference", key, work)
    return key


def judge_reference(task: Task, files: ReferenceFiles) -> dict[str, Any]:
    """Run the full test set through the exported reference, and add the result to its record."""
    import torch

    from harness.data import load_dataset
    from harness.evaluate import BATCH_SIZE, OrtSession, correct_answers
    from harness.run.export import export_onnx

    test = load_dataset(task.dataset).loader("test", batch_size=BATCH_SIZE)
    sample = torch.zeros(2, *task.input.shape, dtype=getattr(torch, task.input.dtype))
    model = export_onnx(reference_module(task, files.weights), sample)
    right = correct_answers(OrtSession(model), test, classes=task.input.classes, label="Judging the reference")
    record = json.loads(files.record.read_text())
    record["test_accuracy"] = float(right.mean())
    write_atomically(files.record, json.dumps(record, indent=1) + "\n")
    return record
