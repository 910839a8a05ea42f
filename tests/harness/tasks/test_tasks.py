"""Reading task files: what is wrong in one is named."""

from __future__ import annotations

import pytest
import yaml

from harness.tasks import TASK_FOLDER, load_task, task_from_mapping
from harness.util.names import UnknownNameError, UsageError


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
