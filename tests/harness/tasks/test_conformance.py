"""Run over every task file: what it names is there, and is what it says."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.data import load_dataset
from harness.entries.admit import admit
from harness.entries.context import WorkerContext
from harness.entries.export import export_onnx
from harness.models import build_model
from harness.references.find import SHIPPED, differences
from harness.references.load import example_inputs, reference_module
from harness.run.evaluate import BATCH_SIZE, OrtSession, correct_answers
from harness.run.reference import SUBSET, reference_file
from harness.tasks import load_task, task_names
from harness.tasks.task import Task
from harness.util.files import sha256_of_file
from hw_targets.graph.trace import trace

EVERY = pytest.mark.parametrize("task", [load_task(name) for name in task_names()], ids=lambda task: task.name)
SHIPPED_TASKS = [load_task(name) for name in task_names() if load_task(name).reference.origin == "shipped"]
EVERY_SHIPPED = pytest.mark.parametrize("task", SHIPPED_TASKS, ids=lambda task: task.name)
TRACKED_BYTES = 30 * 2**20


class First:
    """The first samples of a loader whose batches share them evenly."""

    def __init__(self, loader, samples: int) -> None:
        self.loader, self.sample_count = loader, min(samples, loader.sample_count)

    def __iter__(self):
        for number, batch in enumerate(self.loader):
            if number * BATCH_SIZE >= self.sample_count:
                return
            yield batch


def random_inputs(task: Task, n: int) -> torch.Tensor:
    """`[n, …]` that differ: noise, or token ids with padding at the end of all but the first."""
    generator = torch.Generator().manual_seed(7)
    if task.input.dtype == "float32":
        return torch.randn(n, *task.input.shape, generator=generator)
    ids = torch.randint(1000, 30000, (n, *task.input.shape), generator=generator)
    for row in range(1, n):
        ids[row, -10 * row :] = 0
    return ids


@EVERY
def test_the_facts_agree(task):
    assert task.quality_target == task.quality_ratio * task.reference.value
    assert re.search(r"\b(19|20)\d\d\b", task.citation), "a citation has a year"
    assert (task.reference.published is None) == (task.reference.published_source is None)
    assert task.reference.basis == "measured" or task.reference.published_source
    assert task.version >= 1 and task.title
    if task.superseded_by is not None:
        heir = load_task(task.superseded_by)
        assert heir.name != task.name and heir.superseded_by is None


@pytest.mark.slow
@EVERY
def test_the_export_agrees_with_torch_at_any_batch_size_and_its_counts_are_the_tasks(task, tmp_path):
    model = build_model(task.model, seed=1).eval()
    assert sum(p.numel() for p in model.parameters()) == task.parameters
    exported = export_onnx(model, example_inputs(task.input))
    file = tmp_path / "model.onnx"
    file.write_bytes(exported.SerializeToString())
    admit(file, task.input, limit_bytes=task.budget.onnx_bytes)
    inputs = random_inputs(task, 3)
    session = OrtSession(exported, threads=1)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        expected = model(inputs).numpy()
    scale = max(1.0, float(np.abs(expected).max()))
    for n in (3, 1):
        np.testing.assert_allclose(session.run(inputs[:n].numpy()), expected[:n], atol=1e-4 * scale)
    macs = sum(layer.macs_dense for layer in trace(exported, inputs[:1].numpy()))
    assert macs == task.macs
    assert macs == pytest.approx(counter.get_total_flops() / 2 / 3, rel=0.005)


@EVERY_SHIPPED
def test_the_shipped_weights_are_those_that_the_recipe_made(task):
    assert sha256_of_file(SHIPPED / task.reference.weights) == task.reference.sha256
    record = json.loads((SHIPPED / task.reference.weights).with_suffix(".json").read_text())
    assert differences(record, task) == []
    assert record["weights_sha256"] == task.reference.sha256
    assert round(record["test_accuracy"], 4) == task.reference.value
    assert len(record["curve"]) == task.recipe.epochs


@pytest.mark.slow
@EVERY_SHIPPED
def test_the_reference_reaches_its_recorded_accuracy_on_a_fixed_subset(task):
    data = load_dataset(task.dataset)
    assert data.content_sha256 == task.dataset_sha256
    weights = reference_file(task).path
    session = OrtSession(export_onnx(reference_module(task, weights), example_inputs(task.input)))
    test = First(data.loader("test", batch_size=BATCH_SIZE), SUBSET)
    right = correct_answers(session, test, classes=task.input.classes, label="Judging")
    recorded = json.loads((SHIPPED / task.reference.weights).with_suffix(".json").read_text())
    assert abs(right.mean() - recorded["test_accuracy_of_first_1000"]) <= 1e-3


@EVERY_SHIPPED
def test_an_entry_sees_the_budget_and_no_test_sample(task, tmp_path):
    data = load_dataset(task.dataset)
    context = WorkerContext(
        task, data.without_test(), config={}, seed=0, workdir=tmp_path, limit_s=task.budget.compress_s
    )
    assert 0 < context.budget.left_s() <= task.budget.compress_s
    assert len(context._data.test) == 0
    assert context.data.sample.shape[1:] == task.input.shape
    assert str(context.data.sample.dtype) == f"torch.{task.input.dtype}"
    seen = len(context.data.train.labels) + len(context.data.validation.labels)
    assert seen == len(data.train) + len(data.validation)


def test_all_tracked_weights_together_stay_small():
    assert sum(file.stat().st_size for file in SHIPPED.glob("*.safetensors")) <= TRACKED_BYTES
