"""The dense reference in use: as a module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.tasks.task import InputContract, Task
from harness.util.names import UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn


def reference_module(task: Task, weights: Path) -> nn.Module:
    """The dense reference in float32, in evaluation mode.

    Raises:
        UsageError: the weights do not fit the task's model, or cannot be read.
    """
    from harness.models import build_model

    model = build_model(task.model, seed=0)
    state = {
        name: value.float() if value.is_floating_point() else value for name, value in _read(task, weights).items()
    }
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UsageError(f"{weights} does not fit {task.model}: {error}") from error
    return model.eval()


def _read(task: Task, weights: Path) -> dict[str, torch.Tensor]:
    """Tensors by parameter name; only torchvision's published files are not safetensors."""
    if weights.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(weights)
    import torch

    from harness.models.torchvision_models import fitting_state

    return fitting_state(task.model, torch.load(weights, weights_only=True, map_location="cpu"))


def example_inputs(contract: InputContract, n: int = 2) -> torch.Tensor:
    """`[n, …]` of the task's type and shape, to trace a model with; token 1 is no padding."""
    import torch

    if contract.dtype == "int64":
        return torch.ones(n, *contract.shape, dtype=torch.int64)
    return torch.zeros(n, *contract.shape)
