"""Every task file: what it names is there, and is what it says."""

from __future__ import annotations

import json

import pytest
import yaml

from harness.data import load_dataset
from harness.environment import sha256_of_file
from harness.names import UnknownNameError, UsageError
from harness.run.reference import SHIPPED, judge_reference, reference_weights
from harness.tasks import TASK_FOLDER, load_task, task_from_mapping, task_names
from harness.training.reference import ReferenceFiles

TASKS = pytest.mark.parametrize("name", [n for n in task_names() if load_task(n).reference.origin == "shipped"])


@TASKS
def test_the_facts_agree(name):
    task = load_task(name)
    assert task.name == name and task.citation and task.version >= 1
    assert task.superseded_by is None or task.superseded_by in task_names()
    assert task.quality_target == task.quality_ratio * task.reference.value
    assert sha256_of_file(reference_weights(task)) == task.reference.sha256
    record = json.loads((SHIPPED / task.reference.weights).with_suffix(".json").read_text())
    assert record["weights_sha256"] == task.reference.sha256 and record["test_accuracy"] == task.reference.value
    assert len(record["curve"]) == record["recipe"]["epochs"] == task.recipe.epochs


@TASKS
def test_the_shipped_weights_reach_the_recorded_value(name, tmp_path):
    task = load_task(name)
    assert load_dataset(task.dataset).content_sha256 == task.dataset_sha256
    copy = tmp_path / "record.json"
    copy.write_text("{}")
    judged = judge_reference(task, ReferenceFiles(reference_weights(task), copy))
    assert judged["test_accuracy"] == pytest.approx(task.reference.value, abs=2e-4)  # processors round differently


def test_wrong_tasks_are_refused():
    fields = yaml.safe_load((TASK_FOLDER / "cifar10_resnet20.yaml").read_text())
    for change, message in (
        ({"qualty_ratio": 0.9}, "qualty_ratio"),
        ({"version": "one"}, "version"),
        ({"reference": {**fields["reference"], "value": 0.0}}, "lets everything through"),
        ({"model": None}, "model"),
    ):
        with pytest.raises(UsageError, match=message):
            task_from_mapping({**fields, **change}, "the file")
    with pytest.raises(UnknownNameError, match="cifar10_resnet20"):
        load_task("cifar10_resnet")
