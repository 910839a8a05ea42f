"""The training loop: resuming changes nothing, the schedule is what it says, the loss can diverge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from harness.data.dataset import Samples
from harness.data.images import Augmentation, ImageLoader
from harness.training.loop import DivergedError, Trainer, distillation_loss, warmup_cosine
from harness.training.recipe import Recipe

RECIPE = Recipe(epochs=4, batch_size=8, learning_rate=0.05, bfloat16=False)


def trainer(recipe: Recipe = RECIPE) -> Trainer:
    rng = np.random.default_rng(0)
    data = Samples(rng.integers(0, 255, (40, 8, 8, 3), dtype=np.uint8), rng.integers(0, 4, 40).astype(np.uint8))
    loader = ImageLoader(data, (0.5,) * 3, (0.25,) * 3, batch_size=8, augment=Augmentation(crop_padding=1), seed=3)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4))
    return Trainer(model, loader, recipe)


def test_a_resumed_training_ends_where_an_unbroken_one_does(tmp_path):
    whole = trainer()
    for _ in range(4):
        whole.run_epoch()
    first = trainer()
    first.run_epoch()
    first.run_epoch()
    torch.save(first.state(), tmp_path / "checkpoint.pt")
    second = trainer()
    second.resume(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    second.run_epoch()
    second.run_epoch()
    assert [line.loss for line in second.curve] == [line.loss for line in whole.curve]
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name


def test_it_learns_and_its_rate_goes_up_and_down():
    run = trainer(Recipe(epochs=30, batch_size=8, learning_rate=0.05, bfloat16=False, warmup_epochs=3))
    for _ in range(30):
        run.run_epoch()
    assert run.curve[-1].loss < 0.7 * run.curve[0].loss
    share = warmup_cosine(steps=100, warmup=10)
    assert share(0) == pytest.approx(1 / 11) and share(10) == 1 and share(55) == pytest.approx(0.5)
    assert share(100) == pytest.approx(0) and max(share(step) for step in range(101)) == 1


def test_divergence_is_an_error_with_advice():
    run = trainer(Recipe(epochs=3, batch_size=8, learning_rate=1e30, bfloat16=False))
    with pytest.raises(DivergedError, match="lower learning rate"):
        for _ in range(3):
            run.run_epoch()


def test_distillation_from_oneself_adds_nothing():
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    hard = torch.tensor(0.7)
    assert distillation_loss(hard, logits, logits).item() == pytest.approx(0.07)
    # T² · KL by hand, for one sample and T = 1: teacher (1/2, 1/2), student (3/4, 1/4).
    teacher, student = torch.log(torch.tensor([[0.5, 0.5]])), torch.log(torch.tensor([[0.75, 0.25]]))
    kl = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
    assert distillation_loss(hard, student, teacher, temperature=1, weight=1).item() == pytest.approx(kl, rel=1e-5)
