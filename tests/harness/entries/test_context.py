"""`context.train`, as a submission calls it: it counts, it holds masks, it gives the model back on the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.entries.context import WorkerContext
from harness.tasks import load_task
from harness.training.loop import DivergedError


@pytest.fixture
def context(tiny, tmp_path) -> WorkerContext:
    task = replace(load_task("cifar10_resnet20"), recipe=tiny.RECIPE)
    return WorkerContext(task, tiny.dataset().without_test(), config={}, seed=3, workdir=tmp_path, limit_s=60)


def test_an_entry_trains_with_mask_and_teacher(tiny, context):
    model, teacher = tiny.network("", seed=1), tiny.network("", seed=2)
    mask = {"3.weight": torch.rand(3, 64, generator=torch.Generator().manual_seed(0)) < 0.5}
    trained = context.train(model, epochs=2, mask=mask, teacher=teacher)
    assert trained is model and not model[3].weight[~mask["3.weight"]].any()
    assert {p.device.type for p in (*model.parameters(), *teacher.parameters())} == {"cpu"}
    assert context.budget.samples_trained == 2 * 90
    assert 0 <= context.evaluate(model) <= 1


def test_a_moving_mask_holds_what_it_last_said(tiny, context):
    mask = {"3.weight": torch.rand(3, 64, generator=torch.Generator().manual_seed(0)) < 0.5}
    asked = []

    def moving(model, step, steps):
        asked.append((step, steps))
        return mask if step == 12 else None

    trained = context.train(tiny.network("", seed=1), epochs=2, mask=moving)
    assert asked == [(step, 20) for step in range(20)]
    assert not trained[3].weight[~mask["3.weight"]].any() and trained[3].weight[mask["3.weight"]].all()


def test_an_entry_may_go_on_after_a_training_that_diverged(tiny, context):
    model = tiny.network("", seed=1)
    with pytest.raises(DivergedError):
        context.train(model, epochs=3, learning_rate=1e30)
    assert torch.isfinite(torch.tensor(context.evaluate(context.train(tiny.network("", seed=1), epochs=2))))
