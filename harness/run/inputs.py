"""The task's real data, as stages hand them to a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.entries.rules import HarnessError
from harness.tasks.task import Task

if TYPE_CHECKING:
    from harness.data.dataset import Dataset, Part

SAMPLES = 256


def test_data(task: Task) -> Dataset:
    """The data set, the test set in it.

    Raises:
        HarnessError: its content is not what the task is about.
    """
    from harness.data import load_dataset

    data = load_dataset(task.dataset)
    if data.content_sha256 != task.dataset_sha256:
        raise HarnessError(f"{task.name} is about data with SHA-256 {task.dataset_sha256}, not {data.content_sha256}")
    return data


def real_inputs(data: Dataset, part: Part) -> np.ndarray:
    """The first samples of a part of the data, `[256, …]`; fewer where there are fewer."""
    return next(iter(data.loader(part, batch_size=SAMPLES)))[0].contiguous().numpy()
