"""Look at a model while it runs, and leave it as it was.

A model that is looked at runs in inference mode: batch norm uses its stored statistics, each sample
is judged by itself, and no buffer changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run `model` in inference mode; each module's own mode is as before afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def hooked(modules: Iterable[nn.Module], hook: Callable[..., torch.Tensor | None]) -> Iterator[None]:
    """Call `hook(module, inputs, output)` behind each of `modules`; what it returns replaces the output."""
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """As `evaluating`, without gradients; the random numbers are as before afterwards, too."""
    with evaluating(model), torch.no_grad(), torch.random.fork_rng(devices=[]):
        yield
