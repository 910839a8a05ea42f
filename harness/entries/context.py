"""What a submission gets to see: the `Context` of `harness.contract`, inside the worker process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.contract import MovingMask
from harness.data.dataset import Dataset, Loader
from harness.models import build_model
from harness.tasks.recipe import Recipe
from harness.tasks.task import Task
from harness.training.accuracy import EVALUATION_BATCH, top1_accuracy
from harness.training.loop import Trainer
from harness.util.progress import progress_bar

SAMPLE_SIZE = 64


@dataclass(frozen=True)
class WorkerData:
    """Training and validation data; there is no test set here."""

    train: Loader
    validation: Loader
    sample: torch.Tensor


class WorkerBudget:
    """Counts training samples and the seconds left. The limit itself is held from outside."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.samples_trained = 0
        self._deadline = time.monotonic() + limit_s

    def left_s(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def count(self, samples: int) -> None:
        self.samples_trained += samples


class WorkerContext:
    """See `harness.contract.Context`.

    Args:
        on_samples: called before each batch of a training with its size, in place of the bar that
            each training shows; may raise to end the training.
    """

    def __init__(
        self,
        task: Task,
        data: Dataset,
        *,
        config: Mapping[str, Any],
        seed: int,
        workdir: Path,
        limit_s: float,
        on_samples: Callable[[int], None] | None = None,
    ) -> None:
        self.config, self.seed, self.workdir, self.recipe = config, seed, workdir, task.recipe
        self.learning_rate = config.get("learning_rate_factor", 1.0) * task.recipe.learning_rate
        self.budget = WorkerBudget(limit_s)
        self._task, self._data, self._on_samples = task, data, on_samples
        validation = data.loader("validation", batch_size=EVALUATION_BATCH)
        sample = next(iter(validation))[0][:SAMPLE_SIZE].contiguous()
        self.data = WorkerData(self._train_loader(task.recipe, seed), validation, sample)
        self._trainings = 0

    def _train_loader(self, recipe: Recipe, seed: int) -> Loader:
        return self._data.loader("train", batch_size=recipe.batch_size, recipe=recipe, seed=seed)

    def fresh_model(self, seed: int) -> nn.Module:
        return build_model(self._task.model, seed=seed)

    def train(
        self,
        model: nn.Module,
        *,
        epochs: int,
        learning_rate: float | None = None,
        mask: Mapping[str, torch.Tensor] | MovingMask | None = None,
        teacher: nn.Module | None = None,
        loss: Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    ) -> nn.Module:
        if epochs < 1:
            return model
        peak = self.recipe.learning_rate if learning_rate is None else learning_rate
        warmup = min(self.recipe.warmup_epochs, 0.1 * epochs)
        recipe = replace(self.recipe.over(epochs), learning_rate=peak, warmup_epochs=warmup)
        shuffle = self.seed * 1000 + self._trainings  # each call shuffles anew
        loader = self._train_loader(recipe, shuffle)
        self._trainings += 1
        with self._progress(epochs * loader.sample_count) as advance:

            def count(samples: int) -> None:
                self.budget.count(samples)
                advance(samples)

            try:
                trainer = Trainer(
                    model, loader, recipe, mask=mask, teacher=teacher, loss=loss, on_batch=count, seed=shuffle
                )
                for _ in range(epochs):
                    trainer.run_epoch()
            finally:  # submissions know nothing of devices: what they get back is where it was
                model.cpu()
                if teacher is not None:
                    teacher.cpu()
        return model

    def _progress(self, samples: int) -> AbstractContextManager[Callable[[int], None]]:
        if self._on_samples is not None:
            return nullcontext(self._on_samples)
        return progress_bar("Training", samples, unit="samples")

    def evaluate(self, model: nn.Module) -> float:
        return top1_accuracy(model, self.data.validation)

    def latency(self, model: nn.Module, target: str = "cpu") -> float:
        from harness.entries.export import export_onnx
        from hw_targets.registry import quick_latency_ns

        training = model.training
        exported = export_onnx(model, self.data.sample)
        model.train(training)
        return quick_latency_ns(target, exported, self.data.sample[:1].numpy())
