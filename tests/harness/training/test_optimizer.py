"""A recipe's optimiser: what decays, what clipping bounds, how the rate moves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.models import build_model
from harness.tasks.recipe import Recipe
from harness.training.loop import Trainer
from harness.training.optimizer import decay_groups, learning_rates, make_optimizer, warmup_cosine


class OneBatch:
    """The same eight samples of two classes, `batches` times an epoch."""

    epoch = 0

    def __init__(self, scale: float = 1.0, batches: int = 1) -> None:
        generator = torch.Generator().manual_seed(0)
        self.batch = (scale * torch.randn(8, 5, generator=generator), torch.arange(8) % 2)
        self.batches = batches

    def __len__(self) -> int:
        return self.batches

    def __iter__(self):
        return iter([self.batch] * self.batches)

    @property
    def sample_count(self) -> int:
        return 8 * self.batches


def linear() -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def test_weights_decay_and_nothing_else_does():
    model = build_model("resnet20", seed=0)
    decayed, others = decay_groups(model, 0.5)
    names = {parameter: name for name, parameter in model.named_parameters()}
    assert {names[p] for p in decayed["params"]} == {
        f"{name}.weight" for name, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))
    }
    assert len(decayed["params"]) + len(others["params"]) == len(names)
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.5, 0.0)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_decay_shrinks_a_weight_by_rate_times_decay_where_the_gradient_is_zero(optimizer):
    model = linear()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = make_optimizer(
        model, Recipe(epochs=1, optimizer=optimizer, learning_rate=0.1, weight_decay=0.5, momentum=0.0)
    )
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    for name, parameter in model.named_parameters():
        share = 1 - 0.1 * 0.5 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), share * before[name])


def test_frozen_parameters_are_left_alone():
    model = linear()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    Trainer(model, OneBatch(), Recipe(epochs=1, optimizer="adamw", weight_decay=0.5)).run_epoch()
    assert torch.equal(model[0].weight, before)


def test_masked_weights_stay_zero_under_adamw_and_the_others_learn():
    """Adam's moments of a masked weight are not zero: the mask alone holds it."""
    model = linear()
    keep = {"0.weight": torch.rand(6, 5, generator=torch.Generator().manual_seed(2)) < 0.5}
    before = model[0].weight.detach().clone()
    trainer = Trainer(model, OneBatch(batches=5), Recipe(epochs=3, optimizer="adamw", weight_decay=0.1), mask=keep)
    for _ in range(3):
        trainer.run_epoch()
        assert not model[0].weight[~keep["0.weight"]].any()
    assert bool(trainer.optimizer.state[model[0].weight]["exp_avg"][~keep["0.weight"]].any())
    assert bool((model[0].weight != before)[keep["0.weight"]].all())


@pytest.mark.parametrize("clip_norm", [0.01, 1e6])
def test_clipping_bounds_the_step_and_only_a_step_that_is_too_long(clip_norm):
    """One step of plain gradient descent moves all parameters together by rate × gradient norm."""

    def step(clip: float | None) -> float:
        model = linear()
        before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        recipe = Recipe(epochs=1, learning_rate=0.1, momentum=0.0, weight_decay=0.0, clip_norm=clip, bfloat16=False)
        Trainer(model, OneBatch(scale=30.0), recipe).run_epoch()
        return float((nn.utils.parameters_to_vector(model.parameters()).detach() - before).norm())

    free = step(None)
    assert free > 0.1 * 0.01
    assert step(clip_norm) == pytest.approx(min(free, 0.1 * clip_norm), rel=1e-3)


def test_the_rate_goes_up_in_a_line_and_down_in_a_half_cosine():
    share = warmup_cosine(steps=100, warmup=10)
    assert share(0) == pytest.approx(1 / 11) and share(10) == 1 and share(55) == pytest.approx(0.5)
    assert share(100) == pytest.approx(0) and max(share(step) for step in range(101)) == 1


def test_a_warm_restart_changes_nothing_before_it_and_ends_at_zero_again():
    recipe = Recipe(epochs=9, learning_rate=0.1, warmup_epochs=1, restart_epochs=3, restart_learning_rate=0.02)
    share, plain = learning_rates(recipe, 10), learning_rates(recipe.over(6), 10)
    assert [share(step) for step in range(60)] == [plain(step) for step in range(60)]
    assert share(60) == pytest.approx(0.2) and share(75) == pytest.approx(0.1) and share(90) == pytest.approx(0)


@pytest.mark.parametrize("restart", [-1, 5, 6])
def test_a_restart_must_leave_a_first_period(restart):
    with pytest.raises(ValueError, match=f"restart_epochs is {restart}"):
        Recipe(epochs=5, restart_epochs=restart)
