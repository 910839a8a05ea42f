"""Learn from the dense model what the labels do not say (Hinton, Vinyals & Dean 2015, arXiv 1503.02531, section 2).

The teacher's wrong answers are not equally wrong, and their small probabilities tell how it
generalises. A temperature T softens both distributions so that they count:

    (1 − w) · cross-entropy(labels) + w · T² · KL(teacher ‖ student)

The gradient of the soft part shrinks as 1/T², which the factor T² makes up for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import nn

from pruning.mask import Mask
from pruning.recovery.fine_tuning import MovingMask, fine_tune


class TrainWithTeacher(Protocol):
    """A training loop (see `fine_tune.Train`) that adds the distillation loss itself."""

    def __call__(
        self,
        model: nn.Module,
        *,
        epochs: int,
        learning_rate: float | None = None,
        mask: Mapping[str, torch.Tensor] | MovingMask | None = None,
        teacher: nn.Module | None = None,
    ) -> nn.Module: ...


def distil(
    model: nn.Module,
    mask: Mask,
    *,
    teacher: nn.Module,
    train: TrainWithTeacher,
    epochs: int,
    learning_rate: float | None = None,
) -> nn.Module:
    """Fine-tune (see `fine_tune`) with `teacher` at the model's side.

    In schedules, `train=partial(context.train, teacher=teacher)` does the same.

    Args:
        teacher: mostly a copy of the dense model, taken before it was pruned.

    Raises:
        ValueError: the teacher shares parameters with the model; and as `fine_tune`.
    """
    own = {id(parameter) for parameter in model.parameters()}
    if any(id(parameter) in own for parameter in teacher.parameters()):
        raise ValueError("The teacher is pruned along with the model: take copy.deepcopy(model) before pruning.")
    with_teacher = partial(train, teacher=teacher)
    return fine_tune(model, mask, train=with_teacher, epochs=epochs, learning_rate=learning_rate)


def distillation_loss(
    logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    temperature: float = 4.0,
    weight: float = 0.9,
) -> torch.Tensor:
    """The loss above, a mean over samples, for training loops that take no teacher.

    Args:
        logits, teacher_logits: `[n, classes]`; no gradient flows into the teacher's.
        labels: int64 `[n]`.
        temperature: T, above 0.
        weight: w, in 0…1.

    Raises:
        ValueError: logits of two shapes, or a number out of its range.
    """
    if logits.shape != teacher_logits.shape:
        raise ValueError(f"Student and teacher differ in logits: {list(logits.shape)}, {list(teacher_logits.shape)}.")
    if not (temperature > 0 and 0 <= weight <= 1):
        raise ValueError(f"Distillation needs a temperature > 0 and a weight in 0…1, not {temperature} and {weight}.")
    student = F.log_softmax(logits / temperature, 1)
    target = F.log_softmax(teacher_logits.detach() / temperature, 1)
    soft = F.kl_div(student, target, reduction="batchmean", log_target=True)
    return (1 - weight) * F.cross_entropy(logits, labels) + weight * temperature**2 * soft
