"""The harness's one training loop, for references and for recovery after pruning alike.

It runs on a CPU, on a GPU, or in several processes with one of them each. Whatever there is, a
batch of the loader is one step: the processes share its samples, and the gradient is that of the
whole batch. Only batch norm sees a difference, since each process normalises its own share.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from harness.contract import MovingMask
from harness.data.dataset import Loader
from harness.tasks.recipe import Recipe
from harness.training.optimizer import learning_rates, make_optimizer
from harness.training.processes import make_accelerator, part_of_batch

Loss = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]


class DivergedError(RuntimeError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class EpochResult:
    """One line of the learning curve; `loss` is the mean over its batches."""

    epoch: int
    loss: float
    learning_rate: float
    time_s: float


class Trainer:
    """Trains `model` on `loader` with `recipe`; its state can be saved and taken up again.

    The model (and the teacher) move to the device that `accelerate` finds, and stay there.

    Args:
        loader: gives the same batches in every process; `[n, …]` of any type the model takes.
        mask: parameter name → boolean tensor of the parameter's shape. Where it is False the
            weight is set to zero before the first step and after each one, so that neither
            momentum nor weight decay can revive it. Or a moving mask (`harness.contract.MovingMask`),
            which is asked before each optimizer step and whose last answer holds until the next; where
            an answer newly grows or removes a weight, the optimizer forgets what it knew of it.
        teacher: adds the distillation loss of Hinton et al. 2015 (see `distillation_loss`).
        loss: `(model, logits, labels) → scalar`, in place of the cross-entropy: the way to add a
            regulariser. A mean over samples, so that shares of a batch can be put together.
        on_batch: called before each batch with its size; may raise to end the training (budgets).
        compile: run forward and backward through `torch.compile` (needs a C++ compiler).
        seed: of dropout and what else draws random numbers. They depend on it and on the epoch
            alone, and the caller's random state is left as it was.

    Raises:
        KeyError: `mask` names a parameter that the model lacks (a moving mask: when it is asked).
    """

    def __init__(
        self,
        model: nn.Module,
        loader: Loader,
        recipe: Recipe,
        *,
        mask: Mapping[str, torch.Tensor] | MovingMask | None = None,
        teacher: nn.Module | None = None,
        loss: Loss | None = None,
        on_batch: Callable[[int], None] | None = None,
        compile: bool = False,
        seed: int = 0,
    ) -> None:
        self.accelerator = make_accelerator()
        self.device = self.accelerator.device
        self.model = _channels_last(model).to(self.device)
        self.loader, self.recipe, self.seed = loader, recipe, seed
        self.teacher = teacher.to(self.device).eval() if teacher is not None else None
        self.loss, self.on_batch = loss, on_batch
        shared = self.accelerator.prepare_model(model)
        self.forward = torch.compile(shared) if compile else shared
        plain = mask if isinstance(mask, Mapping) else {}
        self.moving = None if mask is None or isinstance(mask, Mapping) else mask
        self.masked = self._masked(plain)
        self.optimizer = make_optimizer(model, recipe)
        self.steps = recipe.epochs * len(loader)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, learning_rates(recipe, len(loader)))
        self.curve: list[EpochResult] = []

    def run_epoch(self) -> EpochResult:
        """Train for one pass over the loader and return its line of the curve.

        Raises:
            DivergedError: the mean loss of the epoch is not finite.
            ValueError: a batch is too small to be shared by all processes.
        """
        began, total, batches = time.perf_counter(), torch.zeros((), device=self.device), 0
        self.loader.epoch = len(self.curve)
        self.model.train()
        self._apply_masks()
        rate = float(self.schedule.get_last_lr()[0])
        with self._own_random_numbers():
            for inputs, labels in self.loader:
                if self.on_batch:
                    self.on_batch(len(labels))
                total += self._step(inputs, labels)
                batches += 1
        mean = float(self.accelerator.reduce(total, "sum")) / max(batches, 1)
        if not math.isfinite(mean):
            raise DivergedError(
                f"the training loss is {mean} in epoch {len(self.curve) + 1}; try a lower learning rate"
            )
        self.curve.append(EpochResult(len(self.curve) + 1, mean, rate, time.perf_counter() - began))
        return self.curve[-1]

    def state(self) -> dict:
        """All that the next epoch depends on (tensors and plain values, fit for `torch.save`).

        Of a moving mask it has the last answer; what the mask itself remembers is for the caller to save.
        """
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "curve": [asdict(line) for line in self.curve],
        }
        if self.moving is not None:
            state["mask"] = {name: keep for name, (_, keep) in self.masked.items()}
        return state

    def resume(self, state: dict) -> None:
        """Go on from what `state()` returned, on whatever device and in how many processes."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.curve = [EpochResult(**line) for line in state["curve"]]
        if self.moving is not None:
            self.masked = self._masked(state["mask"])

    def _step(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One step on this process's share of a batch; returns the share's part of the batch's loss."""
        processes, size = self.accelerator.num_processes, len(labels)
        if processes > 1:
            mine = part_of_batch(size, self.accelerator.process_index, processes)
            inputs, labels = inputs[mine], labels[mine]
        loss = self._loss(inputs.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True))
        if processes > 1:
            loss = loss * (len(labels) / size)
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss * processes if processes > 1 else loss)  # gradients are averaged, not added
        if self.recipe.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self._move_mask()
        self.optimizer.step()
        self.schedule.step()
        self._apply_masks()
        return loss.detach()

    def _loss(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            logits = self.forward(inputs).float()
            if self.teacher is not None:
                with torch.no_grad():
                    target = self.teacher(inputs).float()
        if self.loss is not None:
            loss = self.loss(self.model, logits, labels)
        else:
            loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        return loss if self.teacher is None else distillation_loss(loss, logits, target)

    def _masked(self, mask: Mapping[str, torch.Tensor]) -> dict[str, tuple[nn.Parameter, torch.Tensor]]:
        parameters = dict(self.model.named_parameters())
        return {name: (parameters[name], keep.to(self.device)) for name, keep in mask.items()}

    @torch.no_grad()
    def _apply_masks(self) -> None:
        for parameter, keep in self.masked.values():
            parameter.mul_(keep)

    def _move_mask(self) -> None:
        """Ask a moving mask, and put its answer in the place of the last one."""
        answer = None if self.moving is None else self.moving(self.model, self.schedule.last_epoch, self.steps)
        if answer is None:
            return
        before, self.masked = self.masked, self._masked(answer)
        self._apply_masks()
        for name, (parameter, keep) in (before | self.masked).items():
            was = before[name][1] if name in before else torch.ones_like(keep)
            now = keep if name in self.masked else torch.ones_like(keep)
            self._forget(parameter, was ^ now)

    def _forget(self, parameter: nn.Parameter, where: torch.Tensor) -> None:
        """Clear momentum, or Adam's moments, of the weights `where`; the count of steps goes on."""
        for key, value in self.optimizer.state.get(parameter, {}).items():
            if key != "step" and isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                value.masked_fill_(where, 0)

    @contextmanager
    def _own_random_numbers(self) -> Iterator[None]:
        entropy = [self.seed, len(self.curve), self.accelerator.process_index]
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
            yield


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


def _channels_last(model: nn.Module) -> nn.Module:
    """Store the weights of two-dimensional convolutions as the fast kernels want them; others stay."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model
