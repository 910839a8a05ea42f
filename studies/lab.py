"""Where cells are run: a task's reference, its data, and the harness's one training loop.

Training is that of a submission: `Lab.context` gives the context that submissions get, without the test
set. The test set is reached through `Lab.judge` alone, for what is reported.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from harness.data import load_dataset
from harness.data.dataset import Dataset
from harness.entries.context import WorkerContext
from harness.references.load import reference_module
from harness.run.reference import reference_file
from harness.tasks import load_task
from harness.tasks.task import Task
from harness.training.accuracy import EVALUATION_BATCH, top1_accuracy
from pruning import Global, Mask, make_mask

CALIBRATION_S = 5.0


class _EnoughSeen(Exception):
    """Ends a training whose only purpose was to be timed."""


@dataclass(frozen=True)
class Lab:
    """A task, ready for experiments.

    Attributes:
        dense: the trained reference; never changed, `model()` copies it.
        reference_sha256: of the reference's file.
        on_samples: told of each batch that is trained on, for progress.
    """

    task: Task
    data: Dataset
    dense: nn.Module
    reference_sha256: str
    on_samples: Callable[[int], None] | None = None

    @classmethod
    def open(cls, task: str) -> Lab:
        """Load what the task `task` needs; data and reference are fetched or made where they are missing.

        Raises:
            UsageError: there is no such task, or its reference cannot be had.
            DataUnavailableError: the data set cannot be had.
        """
        loaded = load_task(task)
        file = reference_file(loaded)
        return cls(loaded, load_dataset(loaded.dataset), reference_module(loaded, file.path), file.sha256)

    def model(self) -> nn.Module:
        """A copy of the trained reference."""
        return copy.deepcopy(self.dense)

    def context(self, seed: int, *, weight_decay: float | None = None) -> WorkerContext:
        """What a submission with this seed would get: `train`, `evaluate` on validation data, `fresh_model`.

        Args:
            weight_decay: instead of the recipe's.
        """
        recipe = self.task.recipe
        decay = recipe.weight_decay if weight_decay is None else weight_decay
        return WorkerContext(
            replace(self.task, recipe=replace(recipe, weight_decay=decay)),
            self.data.without_test(),
            config={},
            seed=seed,
            workdir=Path(),
            limit_s=math.inf,
            on_samples=self.on_samples,
        )

    def batches(self, count: int, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The first `count` training batches `(inputs, labels)`, for techniques that look at data."""
        recipe = self.task.recipe
        loader = self.data.loader("train", batch_size=recipe.batch_size, recipe=recipe, seed=seed)
        return list(islice(iter(loader), count))

    def judge(self, model: nn.Module) -> dict[str, float]:
        """Accuracy in 0…1 on the validation data (`validation`) and on the full test set (`test`)."""
        return {
            part: top1_accuracy(model, self.data.loader(part, batch_size=EVALUATION_BATCH))
            for part in ("validation", "test")
        }

    def seconds_per_epoch(self, limit_s: float = CALIBRATION_S) -> float:
        """How long a pass over the training data takes here, from its first seconds and at least three batches.

        The first batch does not count: it takes longer than any other.
        """
        ticks: list[tuple[float, int]] = []

        def tick(samples: int) -> None:
            ticks.append((time.perf_counter(), samples))
            if len(ticks) > 3 and ticks[-1][0] - ticks[1][0] > limit_s:
                raise _EnoughSeen

        with suppress(_EnoughSeen):
            replace(self, on_samples=tick).context(0).train(self.model(), epochs=1)
        timed = ticks[1:] if len(ticks) > 2 else ticks
        samples = sum(count for _, count in timed[:-1])
        return (timed[-1][0] - timed[0][0]) / max(samples, 1) * len(self.data.train)


def largest_weights(model: nn.Module, sparsity: float, within: Mask | None = None) -> Mask:
    """The studies' usual choice: single weights by magnitude, one threshold over all layers."""
    return make_mask(model, criterion="magnitude", granularity="element", ratio=Global(sparsity), within=within)


def counted(mask: Mask) -> dict[str, float]:
    """How many weights `mask` keeps, and of how many."""
    return {"kept": float(mask.kept), "total": float(mask.total)}
