"""Masks in the training loop: plain ones hold, moving ones are asked in time and obeyed, no momentum is left."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.tasks.recipe import Recipe
from harness.training.loop import Trainer

STEPS = 8  # two epochs of four batches


class FixedLoader:
    """Four batches of eight samples of six numbers, in three classes."""

    epoch = 0

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.batches = [(torch.randn(8, 6, generator=generator), torch.arange(8) % 3) for _ in range(4)]

    def __len__(self) -> int:
        return 4

    def __iter__(self):
        return iter(self.batches)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def trainer(model: nn.Module, mask, *, optimizer: str = "sgd", **changes) -> Trainer:
    recipe = Recipe(epochs=2, optimizer=optimizer, learning_rate=0.05, momentum=0.9, weight_decay=1e-2, bfloat16=False)
    return Trainer(model, FixedLoader(), recipe, mask=mask, **changes)


def random_mask(seed: int, density: float = 0.5) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.rand(p.shape, generator=generator) < density for n, p in network().named_parameters()}


def obeys(model: nn.Module, mask) -> bool:
    return all(not model.get_parameter(name)[~keep].any() for name, keep in mask.items())


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).clone()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2, 0.7, 1.0]), st.sampled_from(["sgd", "adamw"]))
def test_removed_weights_survive_neither_momentum_nor_weight_decay_nor_adam(seed, density, optimizer):
    model, mask = network(), random_mask(seed, density)
    before = weights(model)
    run = trainer(model, mask, optimizer=optimizer)
    run.on_batch = lambda samples: None if obeys(model, mask) else pytest.fail("a removed weight is not zero")
    run.run_epoch()
    run.run_epoch()
    assert obeys(model, mask)
    assert not torch.equal(weights(model), before)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["sgd", "adamw"]))
def test_the_last_answer_of_a_moving_mask_is_obeyed_after_each_step_and_at_the_end(seed, optimizer):
    model, answers = network(), [{}]

    def moving(model, step, steps):
        assert obeys(model, answers[-1])
        assert model.training and model[-1].bias.grad.any()  # a mask may have cut off all others
        if (seed + step) % 3 == 0:
            return None
        answers.append(random_mask(seed + step))
        return answers[-1]

    run = trainer(model, moving, optimizer=optimizer)
    run.on_batch = lambda samples: None if obeys(model, answers[-1]) else pytest.fail("a removed weight is not zero")
    run.run_epoch()
    run.run_epoch()
    assert len(answers) > 4 and obeys(model, answers[-1])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_mask_that_never_moves_trains_as_the_plain_one_bit_for_bit(optimizer):
    mask, asked = random_mask(1), []

    def moving(model, step, steps):
        asked.append((step, steps))
        return mask if step in (0, 5) else None

    still, plain = network(), network()
    with torch.no_grad():
        for name, keep in mask.items():
            still.get_parameter(name).mul_(keep)
    for run in (trainer(still, moving, optimizer=optimizer), trainer(plain, mask, optimizer=optimizer)):
        run.run_epoch()
        run.run_epoch()
    assert torch.equal(weights(still), weights(plain))
    assert asked == [(step, STEPS) for step in range(STEPS)]


def test_without_an_answer_the_training_is_dense():
    silent, dense = network(), network()
    for run in (trainer(silent, lambda model, step, steps: None), trainer(dense, None)):
        run.run_epoch()
    assert torch.equal(weights(silent), weights(dense))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_what_falls_and_what_grows_starts_without_momentum(optimizer):
    """Row 0 falls at step 2 and grows at step 5, while its gradient, and so its momentum, went on."""
    model, seen = network(), {}
    off = {"0.weight": torch.ones(5, 6, dtype=torch.bool)}
    off["0.weight"][0] = False
    name = {"sgd": "momentum_buffer", "adamw": "exp_avg"}[optimizer]

    def moving(model, step, steps):
        weight = model[0].weight
        if step:
            seen[step] = run.optimizer.state[weight][name].clone()
        if step == 5:
            seen["gradient"], seen["rate"] = weight.grad[0].clone(), run.schedule.get_last_lr()[0]
        return {2: off, 5: {"2.weight": torch.ones(3, 5, dtype=torch.bool)}}.get(step)

    run = trainer(model, moving, optimizer=optimizer)

    def stop(samples):
        if run.schedule.last_epoch == 6:
            raise TimeoutError("enough seen")

    run.on_batch = stop
    run.run_epoch()
    with pytest.raises(TimeoutError):
        run.run_epoch()
    assert seen[2][0].any() and seen[5][0].any()
    after = run.optimizer.state[model[0].weight][name][0]
    gradient, rate = seen["gradient"], seen["rate"]
    if optimizer == "sgd":  # one step of Nesterov from rest: the momentum is the gradient
        torch.testing.assert_close(after, gradient)
        torch.testing.assert_close(model[0].weight[0].detach(), -rate * 1.9 * gradient)
    else:
        torch.testing.assert_close(after, 0.1 * gradient)
        torch.testing.assert_close(run.optimizer.state[model[0].weight]["exp_avg_sq"][0], 0.001 * gradient.square())
        assert run.optimizer.state[model[0].weight]["step"] == 6


def test_momentum_of_weights_that_stay_is_kept():
    """A mask that takes one weight away leaves the way of all others through that step as it was."""
    model, dense = network(), network()
    one = {"2.weight": torch.ones(3, 5, dtype=torch.bool)}
    one["2.weight"][1, 2] = False
    run, other = trainer(model, lambda model, step, steps: one if step == 3 else None), trainer(dense, None)
    run.run_epoch()
    other.run_epoch()
    assert model[2].weight[1, 2] == 0 != dense[2].weight[1, 2]
    torch.testing.assert_close(model[2].weight[one["2.weight"]], dense[2].weight[one["2.weight"]], rtol=0, atol=0)
    torch.testing.assert_close(model[0].weight, dense[0].weight, rtol=0, atol=0)


def test_a_resumed_training_goes_on_with_the_last_answer(tmp_path):
    def moving(model, step, steps):
        return random_mask(7) if step == 1 else None

    whole, first, second = (trainer(network(), moving) for _ in range(3))
    whole.run_epoch()
    whole.run_epoch()
    first.run_epoch()
    torch.save(first.state(), tmp_path / "checkpoint.pt")
    second.resume(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    second.run_epoch()
    assert torch.equal(weights(second.model), weights(whole.model)) and obeys(second.model, random_mask(7))
    assert "mask" not in trainer(network(), random_mask(7)).state()


def test_an_answer_about_no_parameter_is_an_error():
    with pytest.raises(KeyError, match=r"9\.weight"):
        trainer(network(), lambda model, step, steps: {"9.weight": torch.ones(1, dtype=torch.bool)}).run_epoch()
