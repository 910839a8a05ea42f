"""What a recipe's numbers become: an optimiser, its groups of parameters, and a learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from harness.tasks.recipe import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over the parameters that are trained."""
    groups = decay_groups(model, recipe.weight_decay)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, foreach=True)
    return torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, foreach=True
    )


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups: weights of two dimensions and more decay; biases and the parameters of norms do not."""
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def learning_rates(recipe: Recipe, steps_per_epoch: int) -> Callable[[int], float]:
    """The recipe's learning rate at each step, as a share of its peak; one restart at most."""
    restart = (recipe.epochs - recipe.restart_epochs) * steps_per_epoch
    first = warmup_cosine(restart, int(recipe.warmup_epochs * steps_per_epoch))
    if not recipe.restart_epochs:
        return first
    second = warmup_cosine(recipe.restart_epochs * steps_per_epoch, 0)
    peak = recipe.restart_learning_rate / recipe.learning_rate
    return lambda step: first(step) if step < restart else peak * second(step - restart)


def warmup_cosine(steps: int, warmup: int) -> Callable[[int], float]:
    """The share of the peak learning rate at each step: linear up, then a half cosine to zero."""

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

    return share
