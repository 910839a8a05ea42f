"""Prune only, prune and fine-tune, or both in turns; with L1 or L2 (Han et al. 2015, arXiv 1506.02626, figure 5).

The paper draws accuracy against the share of weights removed. Without retraining it falls early;
retraining moves the fall to higher ratios; iterating, further still. L1 is the better penalty where
nothing is retrained, L2 where it is.

Here the penalty takes the place of the recipe's weight decay, in an equally long training before
the pruning and in all fine-tuning after it. One-shot and iterative pruning fine-tune for the same
number of epochs in all, so that their difference is not one of training time: the paper's iterative
curve has more of it. Nothing is chosen in this study; all points are test accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from pruning import Regularised, iterative, one_shot
from pruning.recovery.regularise import L1, L2
from studies.comparing import expected_above, percent
from studies.lab import Lab, counted, largest_weights
from studies.plots import draw, finish, over_ratios, panels
from studies.study import Cell, Numbers, Plan, Result, Settings, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

PENALTIES = ("L1", "L2")
SCHEDULES = ("prune only", "one-shot", "iterative")


def plan(lab: Lab, settings: Settings, seeds: Sequence[int]) -> Plan:
    shared = {
        name: settings[name] for name in ("prepare_epochs", "epochs", "steps", "learning_rate_factor", "l1_strength")
    }
    return Plan(
        [
            {"schedule": schedule, "penalty": penalty, "ratio": ratio, "seed": seed, **shared}
            for seed in seeds
            for ratio in settings["ratios"]
            for schedule in SCHEDULES
            for penalty in PENALTIES
        ]
    )


def epochs(cell: Cell) -> float:
    return float(cell["prepare_epochs"] + (0 if cell["schedule"] == "prune only" else cell["epochs"]))


def run_cell(lab: Lab, cell: Cell) -> Numbers:
    context = lab.context(cell["seed"], weight_decay=0.0)
    recipe = lab.task.recipe

    def cross_entropy(model: nn.Module, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)

    if cell["penalty"] == "L1":
        loss = Regularised(L1(), cell["l1_strength"], cross_entropy)
    else:
        loss = Regularised(L2(), recipe.weight_decay / 2, cross_entropy)  # as weight decay, see L2
    train: Any = partial(context.train, loss=loss)
    rate = cell["learning_rate_factor"] * recipe.learning_rate
    model = train(lab.model(), epochs=cell["prepare_epochs"], learning_rate=rate)
    if cell["schedule"] == "iterative":
        model, mask = iterative(
            model,
            largest_weights,
            sparsity=cell["ratio"],
            steps=cell["steps"],
            train=train,
            epochs=max(cell["epochs"] // cell["steps"], 1),
            learning_rate=rate,
            spacing="geometric",
        )
    else:
        after = 0 if cell["schedule"] == "prune only" else cell["epochs"]
        model, mask = one_shot(
            model, largest_weights, sparsity=cell["ratio"], train=train, epochs=after, learning_rate=rate
        )
    return {**lab.judge(model), **counted(mask)}


def findings(result: Result) -> list[str]:
    def of(schedule: str, penalty: str, ratio: float) -> dict[int, float]:
        return result.values("test", schedule=schedule, penalty=penalty, ratio=ratio)

    ratios = sorted(result.choices("ratio"))
    pairs = [(("one-shot", "L2"), ("prune only", "L2")), (("iterative", "L2"), ("one-shot", "L2"))]
    pairs += [(("prune only", "L1"), ("prune only", "L2")), (("one-shot", "L2"), ("one-shot", "L1"))]
    pairs += [(("iterative", "L2"), ("iterative", "L1"))]
    sentences = [
        expected_above(
            f"{a[0]} with {a[1]}",
            of(*a, ratio),
            f"{b[0]} with {b[1]}",
            of(*b, ratio),
            f"at {ratio:.0%}",
            result.test_samples,
        )
        for a, b in pairs
        for ratio in ratios
    ]
    return [*(reach(result, schedule) for schedule in SCHEDULES), *(each for each in sentences if each is not None)]


def reach(result: Result, schedule: str, loss: float = 0.005) -> str:
    """Up to which ratio a schedule (with the better penalty) loses at most `loss` of accuracy."""
    within = [
        (ratio, penalty)
        for penalty in result.choices("penalty", schedule=schedule)
        for ratio in result.choices("ratio", schedule=schedule, penalty=penalty)
        if (values := result.values("test", schedule=schedule, penalty=penalty, ratio=ratio))
        and sum(values.values()) / len(values) >= result.reference - loss
    ]
    dense = percent(result.reference)
    if not within:
        return f"{schedule}: no ratio tried stays within {100 * loss:g} points of the dense {dense}."
    ratio, penalty = max(within)
    return f"{schedule}: within {100 * loss:g} points of the dense {dense} up to {ratio:.0%} removed (with {penalty})."


def plot(result: Result) -> Figure:
    titles = ["all schedules", "the same, close up"]
    figure, axes = panels(titles, result, x="weights removed, %", heading=STUDY.question, close_up=[1])
    curves = {}
    for schedule in result.choices("schedule"):
        for penalty in result.choices("penalty", schedule=schedule):
            curves[f"{schedule}, {penalty}"] = over_ratios(result, "test", schedule=schedule, penalty=penalty)
    for each in axes:
        draw(each, curves, dashed=[label for label in curves if label.endswith("L1")])
    return finish(figure, axes)


STUDY = Study(
    name="schedules",
    question="When is the accuracy lost, and what brings it back?",
    settings={
        "ratios": [0.5, 0.7, 0.8, 0.9, 0.95],
        "prepare_epochs": 2,
        "epochs": 20,
        "steps": 5,
        "learning_rate_factor": 0.2,
        "l1_strength": 1e-5,
    },
    for_task={
        "mnist_lenet300": {
            "ratios": [0.5, 0.8, 0.9, 0.95, 0.98],
            "prepare_epochs": 4,
            "epochs": 3,
            "steps": 3,
            "l1_strength": 3e-4,  # weaker, and L1 and L2 look alike after so short a training
        }
    },
    plan=plan,
    epochs=epochs,
    run_cell=run_cell,
    findings=findings,
    plot=plot,
)
