"""Schedules and recoveries of `pruning` in the harness's training loop: two packages that do not know each other."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.tasks.recipe import Recipe
from harness.training import loop
from pruning.criteria import Random
from pruning.masking import make_mask
from pruning.ratios import Uniform
from pruning.recovery import Regularised, distil
from pruning.recovery.distillation import distillation_loss
from pruning.recovery.regularise import BatchNormL1
from pruning.schedules import SCHEDULES
from pruning.schedules.lottery_tickets import find_ticket

GENERATOR = torch.Generator().manual_seed(0)
BATCHES = [(torch.randn(8, 3, 6, 6, generator=GENERATOR), torch.arange(8) % 4) for _ in range(4)]


class MemoryLoader:
    epoch = 0

    def __len__(self):
        return len(BATCHES)

    def __iter__(self):
        return iter(BATCHES)


def fresh(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )


def train(model, *, epochs, learning_rate=None, mask=None, teacher=None, loss=None, optimizer="sgd"):
    recipe = Recipe(epochs=epochs, optimizer=optimizer, learning_rate=0.05, weight_decay=1e-2, bfloat16=False)
    trainer = loop.Trainer(model, MemoryLoader(), recipe, mask=mask, teacher=teacher, loss=loss)
    for _ in range(epochs):
        trainer.run_epoch()
    return model


def mask_at(model, sparsity, within, criterion="magnitude"):
    return make_mask(model, criterion=criterion, granularity="element", ratio=Uniform(sparsity), within=within)


CHOICES = {
    "one_shot": {},
    "iterative": {"steps": 2},
    "gradual": {"every": 2, "end": 0.5},
    "rigl": {"every": 2, "mask_at": partial(mask_at, criterion=Random(3))},
    "lottery": {"initial": fresh, "rounds": 2, "rewind_steps": 2},
}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_every_schedule_ends_with_its_mask_held(name, optimizer):
    choices = {"mask_at": mask_at, "sparsity": 0.75, "epochs": 3, **CHOICES[name]}
    model, mask = SCHEDULES[name](fresh(), train=partial(train, optimizer=optimizer), **choices)
    assert mask.counts() == {"0.weight": (54, 216), "5.weight": (8, 32)}
    for parameter, keep in mask.items():
        assert not model.get_parameter(parameter)[~keep].any()
        assert model.get_parameter(parameter)[keep].all()


def test_a_ticket_starts_where_the_harness_was_after_k_steps():
    """A loop that is ended after k steps, by its counter of batches, is the oracle."""
    ticket = find_ticket(fresh(), mask_at, sparsity=0.5, train=train, epochs=2, initial=fresh, rewind_steps=5)
    model, seen = fresh(), []

    def stop(samples):
        seen.append(samples)
        if len(seen) == 6:
            raise TimeoutError("five steps are done")

    recipe = Recipe(epochs=2, learning_rate=0.05, weight_decay=1e-2, bfloat16=False)
    trainer = loop.Trainer(model, MemoryLoader(), recipe, on_batch=stop)
    trainer.run_epoch()
    with pytest.raises(TimeoutError):
        trainer.run_epoch()
    assert all(torch.equal(ticket.state[name], tensor) for name, tensor in model.state_dict().items())


def test_distillation_is_the_same_in_both_packages():
    logits, teacher = torch.randn(5, 4, generator=GENERATOR), torch.randn(5, 4, generator=GENERATOR)
    labels = torch.arange(5) % 4
    ours = distillation_loss(logits, teacher, labels)
    torch.testing.assert_close(ours, loop.distillation_loss(F.cross_entropy(logits, labels), logits, teacher))
    model = distil(fresh(1), mask_at(fresh(1), 0.5, None), teacher=fresh(), train=train, epochs=1)
    assert int((model[5].weight == 0).sum()) == 16


def test_slimming_pulls_the_scales_of_batch_norm_down():
    plain = train(fresh(), epochs=4)
    slim = train(fresh(), epochs=4, loss=Regularised(BatchNormL1(), 0.5))
    assert slim[1].weight.abs().sum() < 0.8 * plain[1].weight.abs().sum()
