"""The harness's one training loop, for references and for recovery after pruning alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from harness.data.dataset import Loader
from harness.training.recipe import Recipe

Loss = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]


class DivergedError(RuntimeError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class EpochResult:
    """One line of the learning curve."""

    epoch: int
    loss: float
    learning_rate: float
    time_s: float


class Trainer:
    """Trains `model` on `loader` with `recipe`; its state can be saved and taken up again.

    Args:
        mask: parameter name → boolean tensor of the parameter's shape. Where it is False the
            weight is set to zero before the first step and after each one, so that neither
            momentum nor weight decay can revive it.
        teacher: adds the distillation loss of Hinton et al. 2015 (see `distillation_loss`).
        loss: `(model, logits, labels) → scalar`, in place of the cross-entropy: the way to add a
            regulariser.
        on_batch: called before each batch with its size; may raise to end the training (budgets).
        compile: run forward and backward through `torch.compile` (needs a C++ compiler).

    Raises:
        KeyError: `mask` names a parameter that the model lacks.
    """

    def __init__(
        self,
        model: nn.Module,
        loader: Loader,
        recipe: Recipe,
        *,
        mask: Mapping[str, torch.Tensor] | None = None,
        teacher: nn.Module | None = None,
        loss: Loss | None = None,
        on_batch: Callable[[int], None] | None = None,
        compile: bool = False,
    ) -> None:
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
        self.loader, self.recipe = loader, recipe
        self.teacher = teacher.eval() if teacher is not None else None
        self.loss, self.on_batch = loss, on_batch
        self.forward = torch.compile(model) if compile else model
        parameters = dict(model.named_parameters())
        self.masked = [(parameters[name], keep) for name, keep in (mask or {}).items()]
        self.optimizer = _optimizer(model, recipe)
        steps, warmup = recipe.epochs * len(loader), int(recipe.warmup_epochs * len(loader))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, warmup_cosine(steps, warmup))
        self.curve: list[EpochResult] = []

    def run_epoch(self) -> EpochResult:
        """Train for one pass over the loader and return its line of the curve.

        Raises:
            DivergedError: the mean loss of the epoch is not finite.
        """
        began, total, batches = time.perf_counter(), torch.zeros(()), 0
        self.loader.epoch = len(self.curve)
        self.model.train()
        self._apply_masks()
        rate = float(self.schedule.get_last_lr()[0])
        for inputs, labels in self.loader:
            if self.on_batch:
                self.on_batch(len(labels))
            loss = self._loss(inputs, labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if self.recipe.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
            self.optimizer.step()
            self.schedule.step()
            self._apply_masks()
            total += loss.detach()
            batches += 1
        mean = float(total) / max(batches, 1)
        if not math.isfinite(mean):
            raise DivergedError(
                f"the training loss is {mean} in epoch {len(self.curve) + 1}; try a lower learning rate"
            )
        self.curve.append(EpochResult(len(self.curve) + 1, mean, rate, time.perf_counter() - began))
        return self.curve[-1]

    def state(self) -> dict:
        """All that the next epoch depends on (tensors and plain values, fit for `torch.save`)."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "curve": [asdict(line) for line in self.curve],
        }

    def resume(self, state: dict) -> None:
        """Go on from what `state()` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.curve = [EpochResult(**line) for line in state["curve"]]

    def _loss(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            logits = self.forward(inputs).float()
            if self.teacher is not None:
                with torch.no_grad():
                    target = self.teacher(inputs).float()
        if self.loss is not None:
            loss = self.loss(self.model, logits, labels)
        else:
            loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        return loss if self.teacher is None else distillation_loss(loss, logits, target)

    @torch.no_grad()
    def _apply_masks(self) -> None:
        for parameter, keep in self.masked:
            parameter.mul_(keep)


def distillation_loss(
    hard: torch.Tensor, logits: torch.Tensor, target: torch.Tensor, *, temperature: float = 4.0, weight: float = 0.9
) -> torch.Tensor:
    """`(1 − weight)·hard + weight·T²·KL(teacher ‖ student)`, both softened by T.

    Hinton, Vinyals & Dean 2015, arXiv 1503.02531, section 2; T² keeps the gradients' size.
    """
    soft = F.kl_div(
        F.log_softmax(logits / temperature, 1),
        F.log_softmax(target / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return (1 - weight) * hard + weight * temperature**2 * soft


def warmup_cosine(steps: int, warmup: int) -> Callable[[int], float]:
    """The share of the peak learning rate at each step: linear up, then a half cosine to zero."""

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

    return share


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    groups = _decay_groups(model, recipe.weight_decay)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, foreach=True)
    return torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, foreach=True
    )


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
