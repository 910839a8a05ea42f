"""Neither momentum nor weight decay revives a pruned weight in the harness's training loop."""

import pytest
import torch
from torch import nn

from harness.tasks.recipe import Recipe
from harness.training.loop import Trainer
from pruning.masking import make_mask
from pruning.ratios import Uniform
from pruning.recovery.fine_tuning import fine_tune
from pruning.shrinking import coupled


class MemoryLoader:
    """Four fixed batches of noise."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.epoch = 0
        self.batches = [
            (torch.randn(8, 3, 6, 6, generator=generator), torch.randint(0, 4, (8,), generator=generator))
            for _ in range(4)
        ]

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )


def trainer(model, mask, epochs=3):
    recipe = Recipe(epochs=epochs, learning_rate=0.1, momentum=0.9, weight_decay=5e-2, bfloat16=False)
    return Trainer(model, MemoryLoader(), recipe, mask=mask)


def train(model, *, epochs, learning_rate=None, mask=None):
    loop = trainer(model, mask, epochs)
    for _ in range(epochs):
        loop.run_epoch()
    return model


def test_pruned_weights_stay_zero_and_the_others_learn(model):
    mask = make_mask(model, criterion="magnitude", granularity="element", ratio=Uniform(0.5))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    fine_tune(model, mask, train=train, epochs=3)
    for name, keep in mask.items():
        parameter = model.get_parameter(name)
        assert not parameter[~keep].any()
        assert bool((parameter[keep] != before[name][keep]).all())


def test_momentum_gathered_before_pruning_does_not_revive_a_weight(model):
    """The optimizer moves the masked weight, and only the mask holds it: the worst case for a mask."""
    mask = make_mask(model, criterion="magnitude", granularity="element", ratio=Uniform(0.5))
    dense = trainer(model, None)
    dense.run_epoch()
    loop = trainer(model, mask)
    loop.optimizer.load_state_dict(dense.optimizer.state_dict())
    momenta = [loop.optimizer.state[model.get_parameter(name)]["momentum_buffer"] for name in mask]
    assert all(bool(buffer[~keep].any()) for buffer, keep in zip(momenta, mask.values(), strict=True))
    for _ in range(2):
        loop.run_epoch()
        assert all(not model.get_parameter(name)[~keep].any() for name, keep in mask.items())


def test_coupled_batch_norm_stays_silent(model):
    inputs = MemoryLoader().batches[0][0]
    mask = make_mask(model, criterion="magnitude", granularity="filter", ratio=Uniform(0.5), layers=["0"])
    mask = coupled(model, mask, inputs)
    fine_tune(model, mask, train=train, epochs=2)
    silent = ~mask["0.weight"].flatten(1).any(1)
    assert int(silent.sum()) == 4
    with torch.no_grad():
        assert not model[:3].eval()(inputs)[:, silent].any()
