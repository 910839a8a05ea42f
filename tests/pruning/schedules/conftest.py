"""The smallest training loop that schedules can be tested with."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F


class PlainLoop:
    """Full-batch SGD with momentum and weight decay on fixed data, as `pruning.recovery.fine_tuning.Train` asks for.

    Attributes:
        starts: the state dict at the beginning of each training.
        history: the state dict after each step of each training.
    """

    def __init__(self, inputs, labels, *, steps_per_epoch=4):
        self.inputs, self.labels, self.steps_per_epoch = inputs, labels, steps_per_epoch
        self.starts, self.history = [], []

    def __call__(self, model, *, epochs, learning_rate=None, mask=None):
        optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate or 0.1, momentum=0.9, weight_decay=1e-3)
        held = mask if isinstance(mask, Mapping) else {}
        self.starts.append(copied(model))
        self.history.append([])
        model.train()
        steps = epochs * self.steps_per_epoch
        for step in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(self.inputs), self.labels).backward()
            answer = mask(model, step, steps) if mask is not None and not isinstance(mask, Mapping) else None
            if answer is not None:
                self._clear(model, optimizer, held, answer)
                held = answer
                hold(model, held)
            optimizer.step()
            hold(model, held)
            self.history[-1].append(copied(model))
        return model

    def _clear(self, model, optimizer, before, after):
        for name, keep in after.items():
            buffer = optimizer.state.get(model.get_parameter(name), {}).get("momentum_buffer")
            if buffer is not None:
                buffer[keep ^ before.get(name, torch.ones_like(keep))] = 0


@torch.no_grad()
def hold(model, mask):
    for name, keep in mask.items():
        model.get_parameter(name).mul_(keep)


def copied(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def loop():
    """Sixteen samples of five numbers, in three classes; four steps an epoch."""
    generator = torch.Generator().manual_seed(0)
    return PlainLoop(torch.randn(16, 5, generator=generator), torch.arange(16) % 3)
