"""A unit matters as much as the error would rise without it: skeletonization.

Mozer & Smolensky 1989, "Skeletonization", NIPS 1. Give each unit a gate α on its output, 1 with
the unit and 0 without it. Its relevance is the error at α = 0 less that at α = 1. Leaving out
each unit in turn costs a pass a unit; the slope at α = 1, -∂E/∂α, approximates all in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from pruning.criteria.batches import Batches, read
from pruning.criteria.behind import behind
from pruning.criteria.gradients import Loss
from pruning.criteria.layout import Unit, for_outputs, layer_name, layer_of
from pruning.observing import evaluating, hooked


def linear_error(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Σ |t - o| over outputs, the mean over samples.

    The paper judges relevance by it, since the slope of the squared error vanishes as outputs come
    close to their targets. For class labels int64 `[n]`, o are the probabilities softmax(outputs).
    """
    if not labels.is_floating_point():
        labels, outputs = F.one_hot(labels, outputs.shape[-1]).to(outputs.dtype), outputs.softmax(-1)
    return (labels - outputs).abs().flatten(1).sum(1).mean()


@dataclass(frozen=True)
class Relevance:
    """How much the error would rise without a unit: -∂E/∂α of each output unit, as `[c_o, 1, …]`; needs data.

    A gate sits behind the layer, and behind its batch norm where one alone reads it. A ReLU next
    makes no difference, as relu(α·z) = α·relu(z); behind other activations the slope is that of
    scaling their input. Relevance is negative where the error would fall without the unit.

    Each weight of a unit has an equal share, so that a filter's score, their sum (p = 1), is the
    unit's relevance whatever its size.

    Attributes:
        loss: the error E, `(outputs, labels) → scalar`, a mean over samples.
        decay: None averages over all samples. A number in 0…1 averages exponentially over batches,
            `decay · before + (1 - decay) · now`, as the paper does during training, with 0.8.
        max_batches: look at no more than these.

    Raises:
        ValueError: `decay` is out of its range; there is no data; a layer does not reach the error.
    """

    loss: Loss = field(default=linear_error, repr=False)
    decay: float | None = None
    max_batches: int | None = None
    p: float = 1.0
    unit: ClassVar[Unit] = "filter"

    def __post_init__(self) -> None:
        if self.decay is not None and not 0 <= self.decay < 1:
            raise ValueError(f"decay of Relevance is in 0…1, 1 left out, or None, not {self.decay}.")

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        batches = read(data, model, type(self).__name__, self.max_batches)
        layers = {name: layer_of(model, name) for name in names}
        first = next(batches)
        found = behind(model, names, first[0][:2])
        gated = {model.get_submodule(found[name].norm or layer_name(name)): name for name in names}
        gates = {name: layer.weight.new_ones(layer.weight.shape[0]).requires_grad_() for name, layer in layers.items()}

        def gate(module: nn.Module, _: Any, output: torch.Tensor) -> torch.Tensor:
            name = gated[module]
            return output * gates[name].reshape(-1, *[1] * (layers[name].weight.ndim - 2))

        relevance = {name: torch.zeros(len(gates[name]), dtype=torch.float64) for name in names}
        samples = 0
        with evaluating(model), torch.enable_grad(), hooked(gated, gate):
            for inputs, labels in chain([first], batches):
                error = self.loss(model(inputs), labels)
                if not error.requires_grad:
                    raise ValueError(f"The error does not depend on the output of {', '.join(map(layer_name, names))}.")
                slopes = torch.autograd.grad(error, list(gates.values()), allow_unused=True)
                samples += len(labels)
                # The mean over samples; 0 for the first batch either way.
                keep = 1 - len(labels) / samples if self.decay is None or samples == len(labels) else self.decay
                for name, slope in zip(names, slopes, strict=True):
                    if slope is None:
                        raise ValueError(f"The error does not depend on the output of {layer_name(name)}.")
                    relevance[name] = keep * relevance[name] - (1 - keep) * slope.cpu().double()
        sizes = {name: layer.weight[0].numel() for name, layer in layers.items()}
        return {name: for_outputs(relevance[name] / sizes[name], layers[name]) for name in names}
