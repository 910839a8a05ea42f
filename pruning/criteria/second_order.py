"""What the loss would rise, to second order, if a weight were zero: optimal brain damage.

LeCun, Denker & Solla 1990, "Optimal Brain Damage", NIPS 2. At a minimum of the loss the gradient is
zero, and if weights fall independently of one another the rise is the sum of ½·h_ii·w_i², with
h_ii on the diagonal of the Hessian. Two estimates of it:

- "gauss_newton": the exact diagonal of the generalised Gauss-Newton matrix, the mean over samples of
  Jᵀ·S·J, where J is the Jacobian of the sample's outputs by the weights and S the Hessian of its loss by
  the outputs. It leaves out the curvature of the network itself (the Levenberg-Marquardt approximation,
  which the paper mentions) and is never negative for a convex loss. For the cross-entropy it is the
  Fisher information. One backward pass a batch for each output.
- "hutchinson": the mean of z·(Hz) over random signs z, whose expectation is the diagonal of the
  Hessian itself; without any noise where the Hessian is diagonal. One backward pass a batch for each
  probe. May be negative away from a minimum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from pruning.criteria.batches import Batches, evaluating, hooked, read
from pruning.criteria.gradients import Loss, loss_of, stand_ins
from pruning.criteria.layout import Unit, by_position, layer_name, layer_of, patches
from pruning.layers import Layer

Pairs = Iterable[tuple[torch.Tensor, torch.Tensor]]
Estimate = Literal["gauss_newton", "hutchinson"]


@dataclass(frozen=True)
class OptimalBrainDamage:
    """The saliency ½·h_ii·w_i²; of a group, the sum (p = 1); needs data.

    Attributes:
        probes: random vectors for each batch ("hutchinson" alone).
        seed: of the probes.
        loss: `(outputs, labels) → scalar`, a mean over samples of what each sample's outputs give.
        max_batches: look at no more than these.

    Raises:
        ValueError: an unknown estimate, fewer than one probe, no data; with "gauss_newton" a loss
            without curvature, or a layer that other modules share its weight with, or that sees
            something else than one row a sample.
    """

    estimate: Estimate = "gauss_newton"
    probes: int = 8
    seed: int = 0
    loss: Loss = field(default=F.cross_entropy, repr=False)
    max_batches: int | None = None
    p: float = 1.0
    unit: ClassVar[Unit] = "weight"

    def __post_init__(self) -> None:
        if self.estimate not in get_args(Estimate):
            raise ValueError(f"The estimate is one of {', '.join(get_args(Estimate))}, not {self.estimate!r}.")
        if self.probes < 1:
            raise ValueError(f"Hutchinson's estimate takes 1 probe or more, not {self.probes}.")

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        batches = read(data, model, type(self).__name__, self.max_batches)
        if self.estimate == "gauss_newton":
            diagonal = gauss_newton_diagonal(model, names, batches, self.loss)
        else:
            diagonal = hutchinson_diagonal(model, names, batches, self.loss, probes=self.probes, seed=self.seed)
        return {name: h * model.get_parameter(name).detach() ** 2 / 2 for name, h in diagonal.items()}


def hutchinson_diagonal(
    model: nn.Module, names: Sequence[str], batches: Pairs, loss: Loss, *, probes: int, seed: int
) -> dict[str, torch.Tensor]:
    """Estimated diagonal of the Hessian of the mean loss, parameter name → tensor of its shape."""
    weights = stand_ins(model, names)
    generator = torch.Generator().manual_seed(seed)
    totals = {name: torch.zeros_like(weight, requires_grad=False) for name, weight in weights.items()}
    samples = 0
    # The fused kernels of attention cannot be differentiated twice.
    with evaluating(model), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        for inputs, labels in batches:
            value = loss_of(model, weights, inputs, labels, loss)
            slopes = torch.autograd.grad(value, list(weights.values()), create_graph=True, materialize_grads=True)
            for _ in range(probes):
                signs = {name: _signs(weight, generator) for name, weight in weights.items()}
                curved = [
                    (slope, signs[name]) for name, slope in zip(names, slopes, strict=True) if slope.requires_grad
                ]
                if not curved:
                    continue  # the loss is linear in all of them
                products = torch.autograd.grad(
                    [slope for slope, _ in curved],
                    list(weights.values()),
                    [sign for _, sign in curved],
                    retain_graph=True,
                    materialize_grads=True,
                )
                for name, product in zip(names, products, strict=True):
                    totals[name] += len(labels) * signs[name] * product
            samples += len(labels)
    return {name: total / (samples * probes) for name, total in totals.items()}


def _signs(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return (torch.randint(0, 2, like.shape, generator=generator) * 2 - 1).to(like)


def gauss_newton_diagonal(
    model: nn.Module, names: Sequence[str], batches: Pairs, loss: Loss
) -> dict[str, torch.Tensor]:
    """Exact diagonal of the generalised Gauss-Newton matrix of the mean loss, in the weights' shapes.

    With S = Σ_k λ_k·v_k·v_kᵀ, it is the mean over samples of Σ_k λ_k·(Jᵀv_k)². In inference mode no
    sample sees another, so one backward pass of v_k gives all samples' gradients by the layers'
    outputs; patches of the inputs turn them into each sample's gradient by the weights.
    The largest layer's weights times the samples of a batch must fit into memory.
    """
    layers = {_unshared_layer(model, name): name for name in names}
    weights = stand_ins(model, names)
    totals = {name: torch.zeros_like(weight, requires_grad=False) for name, weight in weights.items()}
    samples = 0
    for inputs, labels in batches:
        calls: list[tuple[Layer, torch.Tensor, torch.Tensor]] = []

        def keep(module: Any, args: Any, output: torch.Tensor, calls: list = calls) -> torch.Tensor:
            calls.append((module, args[0].detach(), output))
            return output.clone()  # in-place operators may change the copy

        with evaluating(model), torch.enable_grad(), hooked(layers, keep):
            outputs = functional_call(model, weights, (inputs,))
            curvature, directions = torch.linalg.eigh(_output_hessian(outputs, labels, loss))
            for layer, seen, _ in calls:
                if len(seen) != len(inputs):
                    raise ValueError(
                        f"{layer_name(layers[layer])} sees {len(seen)} rows for {len(inputs)} samples, so its "
                        'gradients cannot be told apart by sample. Use estimate="hutchinson".'
                    )
            met = [patches(layer, seen) for layer, seen, _ in calls]
            for k in range(curvature.shape[1]):
                cotangent = directions[:, :, k].reshape(outputs.shape)
                slopes = torch.autograd.grad(
                    outputs, [output for *_, output in calls], cotangent, retain_graph=True, materialize_grads=True
                )
                of_sample: dict[str, torch.Tensor] = {}
                for (layer, *_), patch, slope in zip(calls, met, slopes, strict=True):
                    name, gradient = layers[layer], _weight_gradients(layer, patch, slope)
                    of_sample[name] = of_sample[name] + gradient if name in of_sample else gradient
                for name, gradient in of_sample.items():
                    totals[name] += torch.einsum("n,n...->...", curvature[:, k], gradient**2)
        samples += len(labels)
    return {name: total / samples for name, total in totals.items()}


def _unshared_layer(model: nn.Module, name: str) -> Layer:
    layer = layer_of(model, name)
    if any(module is not layer and getattr(module, "weight", None) is layer.weight for module in model.modules()):
        raise ValueError(f'{name} is shared with another module. Use estimate="hutchinson", or leave it out.')
    return layer


def _output_hessian(outputs: torch.Tensor, labels: torch.Tensor, loss: Loss) -> torch.Tensor:
    """Of each sample's loss by its outputs: `[n, K, K]`."""
    leaf = outputs.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(leaf, labels) * len(labels), leaf, create_graph=True)
    if not slope.requires_grad:
        raise ValueError("The loss is linear in the model's outputs, so it has no curvature there.")
    columns = slope.flatten(1).sum(0)
    rows = [torch.autograd.grad(column, leaf, retain_graph=True)[0].flatten(1) for column in columns]
    return torch.stack(rows, 1)


def _weight_gradients(layer: Layer, patch: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Patches `[n, s, c_i, k]` and gradients by the layer's output → by its weight, `[n, *weight]`."""
    groups = getattr(layer, "groups", 1)
    of_group = by_position(layer, slope).unflatten(2, (groups, -1))
    gradient = torch.einsum("nsgo,nsgik->ngoik", of_group, patch.unflatten(2, (groups, -1)))
    return gradient.reshape(len(patch), *layer.weight.shape)
