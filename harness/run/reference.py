"""The dense reference in use: as a module, as ONNX, and judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.entries import REPOSITORY, hash_sources
from harness.environment import library_versions, sha256_of_file
from harness.names import UsageError
from harness.references import ReferenceFile
from harness.store import Store, stage_key, write_atomically
from harness.tasks.task import InputContract, Task

if TYPE_CHECKING:
    import torch
    from torch import nn

    from harness.training.reference import ReferenceFiles

SUBSET = 1000  # first samples of the test set, for a quick check of a reference


def reference_module(task: Task, weights: Path) -> nn.Module:
    """The dense reference in float32, in evaluation mode.

    Raises:
        UsageError: the weights do not fit the task's model, or cannot be read.
    """
    from harness.models import build_model

    model = build_model(task.model, seed=0)
    state = {
        name: value.float() if value.is_floating_point() else value for name, value in _read(task, weights).items()
    }
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UsageError(f"{weights} does not fit {task.model}: {error}") from error
    return model.eval()


def _read(task: Task, weights: Path) -> dict[str, torch.Tensor]:
    """Tensors by parameter name; only torchvision's published files are not safetensors."""
    if weights.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(weights)
    import torch

    from harness.models.torchvision_models import fitting_state

    return fitting_state(task.model, torch.load(weights, weights_only=True, map_location="cpu"))


def example_inputs(contract: InputContract, n: int = 2) -> torch.Tensor:
    """`[n, …]` of the task's type and shape, to trace a model with; token 1 is no padding."""
    import torch

    if contract.dtype == "int64":
        return torch.ones(n, *contract.shape, dtype=torch.int64)
    return torch.zeros(n, *contract.shape)


def dense_stage(task: Task, weights: ReferenceFile, store: Store) -> str:
    """Export the dense reference once for each store, and return its stage's key."""
    run = REPOSITORY / "harness" / "run"
    sources = hash_sources([REPOSITORY / "harness" / "models", run / "export.py", run / "settle.py"])
    key = stage_key(
        {"weights": weights.sha256, "model": task.model, "sources": sources, "versions": library_versions()}
    )

    def work(scratch: Path) -> dict:
        from harness.run.export import export_onnx

        model = reference_module(task, weights.path)
        (scratch / "model.onnx").write_bytes(export_onnx(model, example_inputs(task.input)).SerializeToString())
        return {"onnx_sha256": sha256_of_file(scratch / "model.onnx")}

    store.do("reference", key, work)
    return key


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
