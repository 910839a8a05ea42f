"""How a layer's weights, inputs and outputs lie: one page for convolutions of any dimension and linear layers.

At each output position a layer multiplies its weights with a patch of its input. A linear layer has
patches of one pixel, and one position, or a position a token.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from pruning.layers import LAYERS, Layer

Unit = Literal["weight", "filter", "channel"]  # what has a score of its own


def layer_name(name: str) -> str:
    """`layer1.0.conv1.weight` → `layer1.0.conv1`."""
    return name.rpartition(".")[0]


def layer_of(model: nn.Module, name: str) -> Layer:
    """The layer whose weight is the parameter `name`.

    Raises:
        ValueError: it is not the weight of a convolution or linear layer.
    """
    layer = model.get_submodule(layer_name(name))
    if not isinstance(layer, LAYERS) or name.rpartition(".")[2] != "weight":
        raise ValueError(f"{name} is not the weight of a convolution or linear layer.")
    return layer


def ungrouped_layer_of(model: nn.Module, name: str, reader: str) -> Layer:
    """As `layer_of`, for techniques that judge input channels.

    Raises:
        ValueError: also for a grouped convolution, of whose inputs each meets some filters only.
    """
    layer = layer_of(model, name)
    if getattr(layer, "groups", 1) > 1:
        raise ValueError(
            f"{reader} judges input channels, and {layer_name(name)} is a grouped convolution, "
            "where each meets some of the filters only. Leave it out: name the others in layers=."
        )
    return layer


def for_outputs(scores: torch.Tensor, layer: Layer) -> torch.Tensor:
    """Scores of output units `[c_o]` → `[c_o, 1, …]`, to be broadcast to the weight's shape."""
    return scores.reshape(-1, *[1] * (layer.weight.ndim - 1))


def for_inputs(scores: torch.Tensor, layer: Layer) -> torch.Tensor:
    """Scores of input channels `[c_i]` → `[1, c_i, 1, …]`, to be broadcast to the weight's shape."""
    return scores.reshape(1, -1, *[1] * (layer.weight.ndim - 2))


def by_unit(layer: Layer, outputs: torch.Tensor) -> torch.Tensor:
    """Outputs `[n, c_o, …]` of a convolution, `[…, c_o]` of a linear layer → `[c_o, samples · positions]`."""
    return outputs.movedim(1 - layer.weight.ndim, 0).flatten(1)


def by_position(layer: Layer, outputs: torch.Tensor) -> torch.Tensor:
    """Outputs → `[n, positions, c_o]`."""
    if isinstance(layer, nn.Linear):
        return outputs.reshape(len(outputs), -1, outputs.shape[-1])
    return outputs.flatten(2).movedim(1, 2)


def patches(layer: Layer, inputs: torch.Tensor) -> torch.Tensor:
    """Inputs → what the weights meet at each output position, `[n, positions, c_i, k_h·k_w]`.

    Without groups, `outputs[n, s, o] = Σ patches[n, s, c, k] · weight[o, c, k] + bias[o]`.
    """
    if isinstance(layer, nn.Linear):
        return inputs.reshape(len(inputs), -1, inputs.shape[-1], 1)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    windows = F.pad(inputs, layer._reversed_padding_repeated_twice, mode=mode)
    sizes = zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)
    for dim, (size, step, gap) in enumerate(sizes, start=2):
        windows = windows.unfold(dim, (size - 1) * gap + 1, step)[..., ::gap]
    spatial = len(layer.kernel_size)  # windows: [n, c_i, *positions, *kernel]
    return windows.movedim(1, 1 + spatial).flatten(2 + spatial).flatten(1, spatial)
