"""What each input channel contributes to a layer's output, and how contributions overlap.

The output is a sum over input channels, Z = Σ_c X_c·W_cᵀ. Which channels can go is settled by the
inner products of these terms, a matrix `[c_i, c_i]`: the change when a set T of channels goes is
the sum of its entries over T × T. They follow from the second moments of the inputs, so one pass
over the data serves all layers, and no contribution is ever stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from pruning.criteria.layout import layer_name, patches, ungrouped_layer_of
from pruning.observing import evaluating, hooked


def overlaps(
    model: nn.Module,
    names: Sequence[str],
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    *,
    reader: str,
    positions: int | None,
    seed: int,
) -> dict[str, torch.Tensor]:
    """Weight name → float64 `[c_i, c_i]`: ⟨X_a·W_aᵀ, X_b·W_bᵀ⟩, the mean over output positions.

    Memory: 8·(c_i·k_h·k_w)² bytes a layer.

    Args:
        reader: the technique, for messages.
        positions: output positions to sample, on average for each sample, without repetition;
            None for all.
        seed: of the sampling.

    Raises:
        ValueError: a layer is a grouped convolution, or the data do not pass through it;
            `positions` is below 1.
    """
    check_positions(positions, reader)
    layers = {ungrouped_layer_of(model, name, reader): name for name in names}
    generator = torch.Generator().manual_seed(seed)
    moments: dict[str, torch.Tensor] = {}
    rows = dict.fromkeys(names, 0)

    def add(module: Any, args: Any, output: torch.Tensor) -> None:
        name, seen = layers[module], patches(module, args[0]).flatten(2).flatten(0, 1)
        seen = seen[sampled(len(seen), len(args[0]), positions, generator).to(seen.device)].cpu().double()
        moments[name] = moments.get(name, 0) + seen.T @ seen
        rows[name] += len(seen)

    with evaluating(model), torch.no_grad(), hooked(layers, add):
        for inputs, _ in batches:
            model(inputs)
    missed = [layer_name(name) for name in names if not rows[name]]
    if missed:
        raise ValueError(f"The data do not pass through {', '.join(missed)}; name the other layers in layers=.")
    return {name: _overlap(model.get_parameter(name).detach(), moments[name] / rows[name]) for name in names}


def _overlap(weight: torch.Tensor, moments: torch.Tensor) -> torch.Tensor:
    """Σ over outputs and over the places of both kernels: of weight products times input products."""
    channels = weight.shape[1]
    flat = weight.flatten(1).cpu().double()
    return (moments * (flat.T @ flat)).reshape(channels, -1, channels, flat.shape[1] // channels).sum((1, 3))


def sampled(total: int, samples: int, positions: int | None, generator: torch.Generator) -> torch.Tensor:
    """Which of `total` output positions of `samples` samples to look at, int64."""
    if positions is None or positions * samples >= total:
        return torch.arange(total)
    return torch.randperm(total, generator=generator)[: positions * samples]


def check_positions(positions: int | None, reader: str) -> None:
    """Raises ValueError: `positions` is below 1."""
    if positions is not None and positions < 1:
        raise ValueError(f"{reader} looks at 1 output position a sample or more, or None for all, not {positions}.")
