"""What a model costs when its layers lose given shares.

One forward pass with hooks gives each layer's multiply-accumulates (MACs). From there:

- `masked_macs` lets a layer's MACs fall by its own share. For single weights that is what a machine
  that skips zeros computes. For filters it is too high: the layers that read them lose inputs too.
  A budget that it meets is met in truth.
- `shrunk_cost` takes the pruned filters out and counts or measures what is left: exact, and slower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from pruning.layers import CONVOLUTIONS, LAYERS, parameter_name, weight_layers
from pruning.observing import hooked, inference
from pruning.ratios.problem import Problem

ROUNDING = 1e-9  # of a budget: what floating-point sums may exceed it by
Cost = Callable[[Mapping[str, float]], float]  # parameter name → sparsity in, cost out; the same each time


@dataclass(frozen=True)
class LayerCost:
    """One layer as an input of one sample meets it.

    Attributes:
        outputs, inputs: c_o, and c_i (of one group, in a grouped convolution).
        height, width: of its input; leading spatial dimensions are one height, and the positions
            at which a linear layer is applied (tokens) are its width.
        kernel, stride: the largest over the dimensions; 1 for a linear layer.
        macs: multiply-accumulates of one sample.
    """

    outputs: int
    inputs: int
    height: int
    width: int
    kernel: int
    stride: int
    macs: int


def layer_costs(model: nn.Module, example_inputs: torch.Tensor) -> dict[str, LayerCost]:
    """Name of the weight → cost, for all convolutions and linear layers that the inputs pass.

    A layer that is used several times, or whose weight another shares, has the MACs of all uses.
    The model is left as it was, its mode, buffers and the random state included.

    Args:
        example_inputs: `[n, …]`, one batch as the model takes it (images, or int64 token ids).
    """
    found: dict[str, LayerCost] = {}
    names = {id(layer.weight): parameter_name(name) for name, layer in weight_layers(model).items()}
    samples = len(example_inputs)

    def note(layer: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        name, once = names[id(layer.weight)], _layer_cost(layer, inputs[0], output, samples)
        found[name] = replace(found[name], macs=found[name].macs + once.macs) if name in found else once

    with inference(model), hooked([module for module in model.modules() if isinstance(module, LAYERS)], note):
        model(example_inputs)
    return found


def masked_macs(layers: Mapping[str, LayerCost], sparsity: Mapping[str, float]) -> float:
    """MACs of one sample, where layer `name` loses the share `sparsity[name]` (0 where it has none)."""
    return sum((1 - sparsity.get(name, 0.0)) * layer.macs for name, layer in layers.items())


def shrunk_cost(problem: Problem, measure: Callable[[nn.Module], float]) -> Cost:
    """`measure` of the model pruned and, with `problem.shrink`, shrunk; each pruned model once.

    So the cost of the same shares is always the same number, noise or not.
    """
    measured: dict[tuple[float, ...], float] = {}

    def cost(sparsity: Mapping[str, float]) -> float:
        shares = {name: sparsity.get(name, 0.0) for name in problem.names}
        key = tuple(shares.values())
        if problem.shrink is not None:  # shares that keep the same groups leave the same model
            key = tuple(problem.ratio(shares).count(name, width) for name, width in problem.widths.items())
        if key not in measured:
            model, mask = problem.masked(shares)
            measured[key] = float(measure(model if problem.shrink is None else problem.shrink(model, mask)))
        return measured[key]

    return cost


def cost_of(problem: Problem) -> Cost:
    """The best cost that the problem allows: its latency; else MACs, of shrunk models where it can shrink.

    Raises:
        ValueError: it has neither a latency nor example inputs, or a name that the inputs do not pass.
    """
    if problem.latency is not None:
        return shrunk_cost(problem, problem.latency)
    inputs, layers = problem.example_inputs, traced(problem)
    if problem.shrink is None or inputs is None:
        return lambda sparsity: masked_macs(layers, sparsity)
    return shrunk_cost(problem, lambda model: masked_macs(layer_costs(model, inputs), {}))


def traced(problem: Problem) -> dict[str, LayerCost]:
    """`layer_costs` of the problem's model.

    Raises:
        ValueError: there are no example inputs, or a name is not a layer that they pass.
    """
    if problem.example_inputs is None:
        raise ValueError("Counting multiply-accumulates takes a batch of inputs: give the problem example_inputs=.")
    layers = layer_costs(problem.model, problem.example_inputs)
    for name in problem.names:
        if name not in layers:
            raise ValueError(f"{name} is not the weight of a convolution or linear layer that the inputs pass.")
    return layers


def _layer_cost(layer: Any, inputs: torch.Tensor, output: torch.Tensor, samples: int) -> LayerCost:
    outputs, channels = layer.weight.shape[:2]
    positions = output.numel() // (outputs * samples)
    macs = positions * layer.weight.numel()
    if isinstance(layer, CONVOLUTIONS):
        *leading, width = inputs.shape[2:]
        height = int(torch.Size(leading).numel())
        return LayerCost(outputs, channels, height, width, max(layer.kernel_size), max(layer.stride), macs)
    return LayerCost(outputs, channels, 1, positions, 1, 1, macs)
