"""Make one layer narrower, in place: keep some of its output units or input channels."""

from __future__ import annotations

import torch
from torch import nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def keep_outputs(module: nn.Module, kept: torch.Tensor) -> None:
    """Keep the output units `kept`, int64 `[k]`, of a layer, or the channels of a module that follows one.

    Raises:
        ValueError: a module of another kind.
    """
    for name in ("weight", "bias", "running_mean", "running_var"):
        _select(module, name, 0, kept)
    width = len(kept)
    if isinstance(module, nn.Linear):
        module.out_features = width
    elif isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        module.out_channels = width
        if module.groups > 1:  # depthwise
            module.in_channels = module.groups = width
    elif isinstance(module, NORMS):
        module.num_features = width
    elif isinstance(module, nn.PReLU):
        module.num_parameters = width
    else:
        raise ValueError(f"The output units of {type(module).__name__} cannot be taken out.")


def keep_inputs(module: nn.Module, kept: torch.Tensor) -> None:
    """Keep the input channels `kept`, int64 `[k]`, of a convolution or linear layer.

    Raises:
        ValueError: a module of another kind.
    """
    if not isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        raise ValueError(f"The input channels of {type(module).__name__} cannot be taken out.")
    _select(module, "weight", 1, kept)
    if isinstance(module, nn.Linear):
        module.in_features = len(kept)
    else:
        module.in_channels = len(kept)


def complement(removed: list[int], width: int) -> torch.Tensor:
    """What is left of 0…width-1, int64, in order."""
    kept = torch.ones(width, dtype=torch.bool)
    kept[removed] = False
    return torch.nonzero(kept).flatten()


def _select(module: nn.Module, name: str, dim: int, kept: torch.Tensor) -> None:
    tensor = getattr(module, name, None)
    if tensor is None:
        return
    selected = tensor.detach().index_select(dim, kept.to(tensor.device))
    if isinstance(tensor, nn.Parameter):
        selected = nn.Parameter(selected, requires_grad=tensor.requires_grad)
    setattr(module, name, selected)
