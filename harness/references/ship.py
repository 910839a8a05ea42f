"""From trained weights to the reference that the repository ships: half precision where it costs nothing.

A shipped file stays in the history for good, and float16 halves it. The graph that is judged is
float32 either way: rounding the weights once is a change of the reference like another training
would be, so the rounded weights must judge the same before they may take the others' place.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from harness.references.obtain import Judge
from harness.references.train import ReferenceFiles
from harness.tasks.task import Task
from harness.util.files import sha256_of_file, write_atomically, written_aside

TOLERANCE = 0.0005  # of accuracy: 5 of 10,000 images


@dataclass(frozen=True)
class Shipped:
    """A reference in its place.

    Attributes:
        weights: the file; record: its training record, with the file's hash and its test accuracy.
        half: whether the weights are float16.
    """

    weights: Path
    record: Path
    sha256: str
    test_accuracy: float
    half: bool

    @property
    def yaml(self) -> str:
        """The lines that the task's file must have below `reference:`."""
        return f"  weights: {self.weights.name}\n  sha256: {self.sha256}\n  value: {self.test_accuracy:g}"


def half_precision(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Floating-point tensors as float16; integers, such as counters of batches, as they are.

    Raises:
        ValueError: a value is too large for float16; says in which tensor.
    """
    rounded = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    for name, tensor in rounded.items():
        if tensor.is_floating_point() and not torch.equal(tensor.isfinite(), weights[name].isfinite()):
            raise ValueError(f"{name} holds values above {torch.finfo(torch.float16).max:g}: float16 cannot keep them")
    return rounded


def ship(task: Task, folder: Path, destination: Path, judge: Judge) -> Shipped:
    """Put the reference that `train_reference` left in `folder` into `destination`, and print the task's lines.

    Both precisions are judged on the full test set as the harness judges a reference. float16 is
    kept where it is within `TOLERANCE` of float32.

    Raises:
        FileNotFoundError: `folder` holds no trained reference of `task`.
        DataUnavailableError: the data set cannot be had.
    """
    trained = ReferenceFiles(folder / f"{task.name}.safetensors", folder / f"{task.name}.json")
    with tempfile.TemporaryDirectory() as scratch:
        rounded = ReferenceFiles(Path(scratch, trained.weights.name), Path(scratch, trained.record.name))
        save_file(half_precision(load_file(trained.weights)), rounded.weights)
        shutil.copyfile(trained.record, rounded.record)
        full, half = (judge(task, files)["test_accuracy"] for files in (trained, rounded))
        keep_half = abs(half - full) <= TOLERANCE
        chosen = rounded if keep_half else trained
        weights, record = destination / task.reference.weights, destination / trained.record.name
        with written_aside(weights) as aside:
            shutil.copyfile(chosen.weights, aside)
        facts = json.loads(chosen.record.read_text())
    sha256 = sha256_of_file(weights)
    facts |= {"weights_sha256": sha256, "precision": "float16" if keep_half else "float32"}
    facts["test_accuracy_float32"] = full
    write_atomically(record, json.dumps(facts, indent=1) + "\n")
    shipped = Shipped(weights, record, sha256, facts["test_accuracy"], keep_half)
    print(f"{task.name}: float32 {full:.4f}, float16 {half:.4f}; {facts['precision']} is kept.\n{shipped.yaml}")
    return shipped
