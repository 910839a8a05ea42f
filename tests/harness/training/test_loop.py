"""The training loop: resuming changes nothing, trainings do not touch each other, the loss can diverge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from harness.data.dataset import Samples
from harness.data.images import Augmentation, ImageLoader
from harness.tasks.recipe import Recipe
from harness.training.loop import DivergedError, Trainer, distillation_loss

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


def test_it_learns():
    run = trainer(Recipe(epochs=30, batch_size=8, learning_rate=0.05, bfloat16=False, warmup_epochs=3))
    for _ in range(30):
        run.run_epoch()
    assert run.curve[-1].loss < 0.7 * run.curve[0].loss


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


class TokenLoader:
    """Four batches of token ids `[n, length]`; the label is the first token's parity."""

    epoch = 0

    def __len__(self) -> int:
        return 4

    @property
    def sample_count(self) -> int:
        return 64

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.epoch)
        for _ in range(4):
            tokens = torch.randint(0, 20, (16, 5), generator=generator)
            yield tokens, tokens[:, 0] % 2


def token_trainer(**changes) -> Trainer:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(20, 8), nn.Flatten(), nn.Dropout(0.1), nn.Linear(40, 2))
    fields = {"epochs": 30, "optimizer": "adamw", "batch_size": 16, "learning_rate": 0.02, **changes}
    return Trainer(model, TokenLoader(), Recipe(**fields), seed=7)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_token_inputs_train_too(bfloat16):
    run = token_trainer(bfloat16=bfloat16)
    for _ in range(30):
        run.run_epoch()
    assert run.curve[-1].loss < 0.3 * run.curve[0].loss
    assert all(parameter.dtype == torch.float32 for parameter in run.model.parameters())


def test_three_dimensional_convolutions_train_too():
    class Volumes(TokenLoader):
        def __iter__(self):
            generator = torch.Generator().manual_seed(self.epoch)
            for _ in range(4):
                yield torch.randn(4, 1, 3, 3, 3, generator=generator), torch.arange(4) % 2

    run = Trainer(nn.Sequential(nn.Conv3d(1, 2, 3), nn.Flatten()), Volumes(), Recipe(epochs=1))
    assert np.isfinite(run.run_epoch().loss)


def test_trainings_in_one_process_do_not_touch_each_other():
    """Taking turns, in two precisions, each goes as it does alone; and no random state leaks out."""
    alone = [token_trainer(bfloat16=bfloat16) for bfloat16 in (True, False)]
    for run in alone:
        run.run_epoch()
        run.run_epoch()
    turns = [token_trainer(bfloat16=bfloat16) for bfloat16 in (True, False)]
    torch.manual_seed(123)
    before = torch.get_rng_state()
    for run in (*turns, *turns):
        run.run_epoch()
    assert torch.equal(torch.get_rng_state(), before)
    losses = [[line.loss for line in run.curve] for run in alone]
    assert losses == [[line.loss for line in run.curve] for run in turns]
    assert losses[0] != losses[1]


def test_dropout_goes_on_where_it_stopped(tmp_path):
    whole, first, second = token_trainer(), token_trainer(), token_trainer()
    whole.run_epoch()
    whole.run_epoch()
    first.run_epoch()
    torch.save(first.state(), tmp_path / "checkpoint.pt")
    second.resume(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    assert second.run_epoch().loss == whole.curve[1].loss


def test_the_loop_counts_batches_and_may_be_ended_by_the_counter():
    seen = []

    def count(samples: int) -> None:
        seen.append(samples)
        if len(seen) == 3:
            raise TimeoutError("the budget is spent")

    run = trainer()
    run.on_batch = count
    with pytest.raises(TimeoutError, match="budget"):
        run.run_epoch()
    assert seen == [8, 8, 8] and not run.curve
