"""What a submission is: one class with one method, in `submission.py` of its folder.

    class Submission:
        def compress(self, model, context):
            ...
            return model

The harness calls it in a worker process of its own and keeps one thing: the ONNX file made from
what it returns. The file is exported, admitted, judged and measured anew; nothing that a submission
says about itself is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import onnx
    import torch
    from torch import nn

    from harness.tasks.recipe import Recipe

SUBMISSION_FILE = "submission.py"
CLASS_NAMES = ("Submission", "Entry")  # of the class in it; the second is what it was called at first


class ParameterError(ValueError):
    """The submission's parameters make no sense.

    A submission that raises it before any work leaves no record: the command ends with exit code 2 and the
    message, as for any other wrong usage.
    """


class Loader(Protocol):
    """Batches of `(inputs float32 or int64 [n, …], labels int64 [n])`, as often as it is iterated over."""

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]: ...

    def __len__(self) -> int: ...


class Data(Protocol):
    """What a submission may learn from. The test set is not here, and not in the worker process.

    Attributes:
        train: shuffled and augmented by the task's recipe.
        validation: in fixed order, not augmented.
        sample: one batch of validation inputs, for tracing and shapes.
    """

    train: Loader
    validation: Loader
    sample: torch.Tensor


class BudgetView(Protocol):
    """What has been spent and what is left. The harness enforces the limit from outside."""

    limit_s: float
    samples_trained: int

    def left_s(self) -> float:
        """Wall-clock seconds until the worker is ended."""
        ...


class MovingMask(Protocol):
    """A mask that changes while the model trains: gradual pruning, RigL."""

    def __call__(self, model: nn.Module, step: int, steps: int, /) -> Mapping[str, torch.Tensor] | None:
        """Asked before each optimizer step, when the gradients are there, those of removed weights too.

        The answer must follow from the arguments and from earlier answers alone: where several
        processes train, each of them asks, and they must agree.

        Args:
            model: in training mode; to be left as it is.
            step: optimizer steps taken so far, 0…steps − 1.
            steps: optimizer steps of the whole training.

        Returns:
            The whole new mask, as a plain one would be given, or None to go on with the last. A
            parameter that it does not name is free. It is applied at once; where it newly grows or
            removes a weight, the optimizer's momentum of that weight is cleared.
        """
        ...


class Context(Protocol):
    """All that a submission may use.

    Attributes:
        config: the submission's `config.yaml`, with the overrides of the command line.
        seed: every random choice of the submission should follow from it.
        workdir: a folder of its own for scratch files.
        recipe: how the task's reference was trained.
        learning_rate: a peak for `train`: the recipe's, times the parameter `learning_rate_factor` where there is one.
    """

    config: Mapping[str, Any]
    seed: int
    workdir: Path
    data: Data
    budget: BudgetView
    recipe: Recipe
    learning_rate: float

    def fresh_model(self, seed: int) -> nn.Module:
        """The task's architecture, newly initialised (SNIP, lottery tickets)."""
        ...

    def train(
        self,
        model: nn.Module,
        *,
        epochs: int,
        learning_rate: float | None = None,
        mask: Mapping[str, torch.Tensor] | MovingMask | None = None,
        teacher: nn.Module | None = None,
        loss: Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    ) -> nn.Module:
        """Train `model` in place with the task's recipe and return it.

        Args:
            learning_rate: the peak, instead of the recipe's.
            mask: parameter name → boolean tensor; False stays zero throughout. Or a moving mask, whose
                last answer the returned model obeys.
            teacher: a model to distil from (Hinton et al. 2015).
            loss: `(model, logits, labels) → scalar` in place of the cross-entropy.

        Raises:
            DivergedError: the loss is no longer finite.
        """
        ...

    def evaluate(self, model: nn.Module) -> float:
        """The task's metric on the validation data, in 0…1."""
        ...

    def latency(self, model: nn.Module, target: str = "cpu") -> float:
        """Median time of one batch-1 inference on `target`, in ns, from a short measurement."""
        ...


class Submission(Protocol):
    """What a team hands in: a class of this name with this method. It owns the whole pipeline (open division).

    What its parameters may be stands in `limits.yaml` beside `config.yaml` (see `harness.entries.limits`), and is
    checked before anything else. What takes code to check may be done by a method `check(self, config)`,
    which raises `ParameterError`; it is called in a process of its own before a reference is trained, data are
    fetched or anything is compressed.
    """

    def compress(self, model: nn.Module, context: Context) -> nn.Module | onnx.ModelProto:
        """Take the task's trained reference and return what is to be judged.

        Args:
            model: the dense reference, trained, on the CPU; it may be changed in place.

        Returns:
            A module, which the harness exports, or an ONNX model that meets the task's contract.
        """
        ...
