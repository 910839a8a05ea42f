"""Gradients of the loss with respect to some weights, averaged over data, without touching the model.

The weights stand in for the model's own in a functional call: the `grad` of its parameters stays
as it is, and frozen parameters are no obstacle. Weights that are tied are replaced together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn
from torch.func import functional_call

from pruning.observing import evaluating

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""`(outputs, labels) → scalar`, a mean over samples."""


def stand_ins(model: nn.Module, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """The parameters `names`, of the same values and memory, as leaves that take gradients."""
    return {name: model.get_parameter(name).detach().requires_grad_() for name in names}


def loss_of(
    model: nn.Module, weights: dict[str, torch.Tensor], inputs: torch.Tensor, labels: torch.Tensor, loss: Loss
) -> torch.Tensor:
    """The loss of one batch with `weights` in place of the model's own; it can be differentiated.

    Raises:
        ValueError: the loss is no scalar, or does not depend on the weights.
    """
    value = loss(functional_call(model, weights, (inputs,)), labels)
    if value.ndim != 0:
        raise ValueError(f"The loss must be one number, a mean over samples; it has shape {list(value.shape)}.")
    if not value.requires_grad:
        raise ValueError(f"The loss has no gradient with respect to {', '.join(weights)}.")
    return value


def mean_gradients(
    model: nn.Module,
    names: Sequence[str],
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    loss: Loss,
    *,
    of: Callable[[str, torch.Tensor], torch.Tensor] = lambda name, gradient: gradient,
) -> dict[str, torch.Tensor]:
    """The mean over samples of the gradients, parameter name → tensor of its shape.

    Batches count by their size, so that neither their order nor how samples are split matters.

    Args:
        of: `(name, gradient of a batch) → tensor`, what to average instead.
    """
    weights = stand_ins(model, names)
    totals: dict[str, torch.Tensor] = {}
    samples = 0
    with evaluating(model), torch.enable_grad():
        for inputs, labels in batches:
            value = loss_of(model, weights, inputs, labels, loss)
            gradients = torch.autograd.grad(value, list(weights.values()), materialize_grads=True)
            for name, gradient in zip(names, gradients, strict=True):
                part = len(labels) * of(name, gradient)
                totals[name] = totals[name] + part if name in totals else part
            samples += len(labels)
    return {name: total / samples for name, total in totals.items()}
