"""The distillation loss by hand, and a teacher that is really another model."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pruning.mask import Mask
from pruning.recovery import RECOVERIES, distil
from pruning.recovery.distillation import distillation_loss


def test_the_soft_part_by_hand():
    """T = 1: teacher (1/2, 1/2), student (3/4, 1/4)."""
    teacher, student = torch.log(torch.tensor([[0.5, 0.5]])), torch.log(torch.tensor([[0.75, 0.25]]))
    kl = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    label = torch.tensor([0])
    assert distillation_loss(student, teacher, label, temperature=1, weight=1).item() == pytest.approx(kl, rel=1e-5)
    mixed = distillation_loss(student, teacher, label, temperature=1, weight=0.25).item()
    assert mixed == pytest.approx(0.25 * kl + 0.75 * math.log(4 / 3), rel=1e-5)


def test_from_oneself_there_is_nothing_to_learn_but_the_labels():
    logits, labels = torch.randn(5, 4), torch.arange(5) % 4
    loss = distillation_loss(logits, logits, labels, weight=0.9)
    assert loss.item() == pytest.approx(0.1 * F.cross_entropy(logits, labels).item(), rel=1e-4)


def test_at_high_temperature_the_gradient_compares_centred_logits():
    """Hinton et al., section 2.1: with T² it tends to (z − v)/N for logits of mean zero."""
    student = torch.tensor([[1.0, -2.0, 1.0]], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[0.5, 0.5, -1.0]], dtype=torch.float64, requires_grad=True)
    distillation_loss(student, teacher, torch.tensor([0]), temperature=1e4, weight=1).backward()
    torch.testing.assert_close(student.grad, (student - teacher).detach() / 3, rtol=1e-3, atol=1e-4)
    assert teacher.grad is None


def test_the_training_gets_mask_and_teacher():
    dense = nn.Linear(3, 2)
    model, calls = copy.deepcopy(dense), []
    mask = Mask({"weight": torch.tensor([[True, False, True], [False, True, True]])})

    def train(model, **given):
        calls.append(given)
        return model

    trained = distil(model, mask, teacher=dense, train=train, epochs=3, learning_rate=0.1)
    assert trained is model and not model.weight[~mask["weight"]].any() and dense.weight.all()
    assert calls == [{"epochs": 3, "learning_rate": 0.1, "mask": mask, "teacher": dense}]
    assert RECOVERIES["distil"] is distil


def test_a_teacher_that_is_pruned_along_is_refused():
    model = nn.Linear(3, 2)
    for teacher in (model, nn.Sequential(model)):
        with pytest.raises(ValueError, match=r"copy\.deepcopy"):
            distil(model, Mask.dense(model), teacher=teacher, train=lambda model, **given: model, epochs=1)


@pytest.mark.parametrize(
    ("shape", "choices", "message"),
    [((2, 4), {}, r"differ in logits: \[2, 3\], \[2, 4\]"), ((2, 3), {"temperature": 0}, "temperature > 0")],
)
def test_what_cannot_be_compared_is_refused(shape, choices, message):
    with pytest.raises(ValueError, match=message):
        distillation_loss(torch.zeros(2, 3), torch.zeros(shape), torch.tensor([0, 1]), **choices)
