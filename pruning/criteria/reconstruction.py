"""After pruning, solve for the weights that remain, so that each layer gives what it gave before.

He, Zhang & Sun 2017, arXiv 1707.06168, for input channels; here for any mask. Layer by layer, in the
order in which they run: the inputs are those of the pruned model, with the errors that the layers
before left, and the target is the output of the dense one. So later layers make up for earlier ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from pruning.criteria.batches import Batches, device_of, read
from pruning.criteria.contributions import check_positions, sampled
from pruning.criteria.layout import by_position, layer_name, patches
from pruning.layers import LAYERS, Layer
from pruning.mask import Mask
from pruning.observing import evaluating, hooked

NEGLIGIBLE = 1e-10  # of the largest eigenvalue: inputs of this energy are float32's noise


def reconstruct(
    model: nn.Module,
    dense_model: nn.Module,
    mask: Mask,
    data: Batches,
    *,
    positions: int | None = None,
    seed: int = 0,
    max_batches: int | None = None,
) -> nn.Module:
    """Apply `mask` and solve the kept weights of its convolutions and linear layers by least squares.

    Biases stay. Grouped convolutions and layers that the data do not pass are masked, and left so.
    Where the data do not determine a weight (few samples, inputs that repeat one another), the
    solution nearest to the weight as it is is taken.

    Args:
        dense_model: as `model` was before pruning; another object, and not changed.
        data: batches of `(inputs, labels)`; kept in memory, and run through both models once a layer.
        positions: output positions to sample, on average for each sample; None for all.
        seed: of the sampling.
        max_batches: look at no more than these.

    Returns:
        `model`, changed in place; what the mask removes is zero.

    Raises:
        ValueError: no data, a mask that does not fit both models, one object as both; all before
            anything is changed.
    """
    if model is dense_model:
        raise ValueError("The dense model must be another object than the one that is pruned: copy.deepcopy(model).")
    check_positions(positions, "reconstruct")
    mask.check(model)
    mask.check(dense_model)
    batches = list(read(data, model, "reconstruct", max_batches))
    mask.apply_(model)
    for name in _in_running_order(model, [name for name in mask if _is_solvable(model, name)], batches[0][0]):
        moments, matches = _moments(model, dense_model, name, batches, positions, seed)
        _solve_(model.get_parameter(name), mask[name], moments, matches)
    return model


def _is_solvable(model: nn.Module, name: str) -> bool:
    layer = model.get_submodule(layer_name(name))
    return isinstance(layer, LAYERS) and name.rpartition(".")[2] == "weight" and getattr(layer, "groups", 1) == 1


def _in_running_order(model: nn.Module, names: Sequence[str], inputs: torch.Tensor) -> list[str]:
    layers = {model.get_submodule(layer_name(name)): name for name in names}
    order: dict[str, None] = {}
    with evaluating(model), torch.no_grad(), hooked(layers, lambda module, *_: order.setdefault(layers[module])):
        model(inputs)
    return list(order)


def _moments(
    model: nn.Module,
    dense_model: nn.Module,
    name: str,
    batches: Sequence[tuple[torch.Tensor, torch.Tensor]],
    positions: int | None,
    seed: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Σ xᵀ·x `[c_i·k, c_i·k]` of the pruned inputs x, and Σ xᵀ·t `[c_i·k, c_o]` with the dense outputs t.

    The bias of `model` is taken off the targets. Both float64, on the CPU.
    """
    generator = torch.Generator().manual_seed(seed)
    layer: Any = model.get_submodule(layer_name(name))
    dense_layer: Any = dense_model.get_submodule(layer_name(name))
    seen: list[torch.Tensor] = []
    wanted: list[torch.Tensor] = []

    def see(module: Layer, args: Any, output: torch.Tensor) -> None:
        seen.append(patches(module, args[0]).flatten(2).cpu().clone())  # in-place operators may change the rest

    def want(module: Layer, args: Any, output: torch.Tensor) -> None:
        wanted.append(by_position(module, output).cpu().clone())

    moments, matches = torch.zeros(()), torch.zeros(())
    with (
        evaluating(model),
        evaluating(dense_model),
        torch.no_grad(),
        hooked([layer], see),
        hooked([dense_layer], want),
    ):
        for inputs, _ in batches:
            seen.clear()
            wanted.clear()
            model(inputs)
            dense_model(inputs.to(device_of(dense_model)))
            for x, t in zip(seen, wanted, strict=True):
                rows = sampled(x.shape[0] * x.shape[1], len(x), positions, generator)
                chosen, target = x.flatten(0, 1)[rows].double(), t.flatten(0, 1)[rows].double()
                if layer.bias is not None:
                    target = target - layer.bias.cpu().double()
                moments = moments + chosen.T @ chosen
                matches = matches + chosen.T @ target
    return moments, matches


@torch.no_grad()
def _solve_(weight: nn.Parameter, keep: torch.Tensor, moments: torch.Tensor, matches: torch.Tensor) -> None:
    """Add to the kept weights the least-squares step, the shortest where there are many.

    Output units that keep the same weights are solved together: one system for a channel mask.
    """
    flat = weight.flatten(1).cpu().double()
    patterns, of_unit = torch.unique(keep.flatten(1), dim=0, return_inverse=True)
    for pattern, kept in enumerate(patterns):
        units, inputs = (of_unit == pattern).nonzero().flatten(), kept.nonzero().flatten()
        if not len(inputs):
            continue
        current = flat[units][:, inputs]
        left = matches[inputs][:, units] - moments[inputs] @ flat[units].T
        inverse = torch.linalg.pinv(moments[inputs][:, inputs], rtol=NEGLIGIBLE, hermitian=True)
        flat[units[:, None], inputs] = current + (inverse @ left).T
    weight.copy_(flat.reshape(weight.shape))
