"""Which parameters there are to prune: the weights of convolutions and linear layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pruning.names import nearest

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LAYERS = (*CONVOLUTIONS, nn.Linear)
Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


def weight_layers(model: nn.Module) -> dict[str, Layer]:
    """Layer name → module for every convolution and linear layer, in the order of their definition.

    A weight that two layers share comes once, under the name of the first.
    """
    layers: dict[str, Layer] = {}
    seen: dict[int, torch.Tensor] = {}  # held, since a weight that is computed would free its id
    for name, module in model.named_modules():
        if isinstance(module, LAYERS):
            weight = module.weight
            if id(weight) not in seen:
                seen[id(weight)] = weight
                layers[name] = module
    return layers


def parameter_name(layer: str, own: str = "weight") -> str:
    """The name of a layer's own parameter in the model: `layer1.0.conv1`, "bias" → `layer1.0.conv1.bias`."""
    return f"{layer}.{own}" if layer else own


def weight_names(
    model: nn.Module,
    layers: Sequence[str] | None = None,
    *,
    skip_first_conv: bool = False,
    skip_last_linear: bool = False,
) -> list[str]:
    """Names of the weight parameters of `layers`, in the model's order whatever order they are given in.

    Args:
        layers: names of convolutions and linear layers (`layer1.0.conv1`); default all.
        skip_first_conv: leave out the first convolution: few weights, and all inputs pass it.
        skip_last_linear: leave out the last linear layer, the classifier.

    Raises:
        ValueError: a name in `layers` is no such layer, or nothing is left.
    """
    known = weight_layers(model)
    chosen = list(known) if layers is None else list(layers)
    for name in chosen:
        if name not in known:
            raise ValueError(f"The model has no convolution or linear layer named {name!r}. {nearest(name, known)}")
    convolutions = [name for name, module in known.items() if isinstance(module, CONVOLUTIONS)]
    linears = [name for name, module in known.items() if isinstance(module, nn.Linear)]
    skipped = set(convolutions[:1] if skip_first_conv else []) | set(linears[-1:] if skip_last_linear else [])
    names = [parameter_name(name) for name in known if name in chosen and name not in skipped]
    if not names:
        raise ValueError("No convolution or linear layer is left to prune.")
    return names
