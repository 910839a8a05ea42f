"""Who gives how much? Shares of filters a layer, all at the same multiply-accumulates (MACs).

The rules: equal shares; ERK (Evci et al. 2020, arXiv 1911.11134); one threshold over sensitivity
curves (Han et al. 2015, arXiv 1506.02626); AMC's agent (He et al. 2018, arXiv 1802.03494); NetAdapt
(Yang et al. 2018, arXiv 1804.03230). All choose filters (rows of a linear layer) by their L1 norm,
among those that can be taken out for good. Rules that count weights are asked for ever more until
the MACs of the smaller network meet the budget.

What a rule looks at is accuracy on validation data; the points are test accuracy, right after
pruning and after the same fine-tuning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import nn

from harness.entries.context import WorkerContext
from pruning import (
    Filter,
    Magnitude,
    Mask,
    PerLayer,
    Problem,
    Ratio,
    coupled,
    make_mask,
    prunable_filters,
    shrink,
    weight_layers,
    weight_names,
)
from pruning.ratios import ALLOCATIONS
from pruning.ratios.cost import ROUNDING, Cost, layer_costs
from pruning.ratios.ddpg import DdpgSettings
from pruning.ratios.erk import erk
from pruning.ratios.sensitivity import RATIOS_SCANNED, choose_threshold, sensitivity_scan
from studies.comparing import expected_above, percent
from studies.comparing import mean_of as mean
from studies.lab import Lab
from studies.plots import draw, finish, panels
from studies.study import Cell, Numbers, Plan, Result, Settings, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HALVINGS = 14  # of the range of a share: finer than one filter in ten thousand
MOST = 0.99  # that any layer may lose
NETADAPT_STEP = 0.1  # of the MACs, in every iteration


def plan(lab: Lab, settings: Settings, seeds: Sequence[int]) -> Plan:
    shared = {name: settings[name] for name in ("macs", "epochs", "learning_rate_factor", "episodes", "short_term")}
    rules = ("uniform", *ALLOCATIONS)
    return Plan([{"rule": rule, "seed": seed, **shared} for seed in seeds for rule in rules])


def epochs(cell: Cell) -> float:
    """The training; of searches a rough guess, since their length depends on what they find."""
    searched = {"netadapt": 10.0 * cell["short_term"], "amc": 0.05 * cell["episodes"]}
    return float(cell["epochs"]) + searched.get(cell["rule"], 0.0)


def run_cell(lab: Lab, cell: Cell) -> Numbers:
    """Accuracy right after pruning (`pruned test`) and fine-tuned; `macs`, what is left of the dense model's."""
    context = lab.context(cell["seed"])
    problem = problem_of(lab, context, cell["short_term"])
    cost = macs_of(problem)
    shares = allocate(cell["rule"], problem, cost, cell)
    model, mask = problem.masked(shares.sparsity)
    assert problem.shrink is not None  # problem_of gives one
    small = problem.shrink(model, mask)
    pruned = lab.judge(small)
    rate = cell["learning_rate_factor"] * context.recipe.learning_rate
    trained = lab.context(cell["seed"]).train(small, epochs=cell["epochs"], learning_rate=rate)
    numbers = {**lab.judge(trained), **{f"pruned {part}": value for part, value in pruned.items()}}
    numbers["macs"] = cost(shares.sparsity) / cost(dict.fromkeys(problem.names, 0.0))
    return {**numbers, **{f"removed from {name}": share for name, share in shares.sparsity.items()}}


def problem_of(lab: Lab, context: WorkerContext, short_term: int) -> Problem:
    """Filters of the reference by L1 norm; evaluated on validation data, trained for `short_term` epochs."""
    inputs = context.data.sample[:2]
    layers = prunable_filters(lab.dense, inputs)

    def mask_at(model: nn.Module, ratio: Ratio, within: Mask | None) -> Mask:
        mask = make_mask(
            model, criterion=Magnitude(p=1), granularity=Filter(), ratio=ratio, layers=layers, within=within
        )
        return coupled(model, mask, inputs)

    return Problem(
        lab.model(),
        tuple(weight_names(lab.dense, layers)),
        mask_at,
        evaluate=context.evaluate,
        train=(lambda model, mask: context.train(model, epochs=short_term, mask=mask)) if short_term else None,
        example_inputs=inputs,
        shrink=lambda model, mask: shrink(model, mask, inputs),
    )


def macs_of(problem: Problem) -> Cost:
    """The MACs of the smaller network, exactly and without making it.

    A layer's MACs are its outputs times its inputs times what does not change. Which layers lose
    inputs or outputs with another's filters is found by taking one filter out of each.
    """
    assert problem.shrink is not None and problem.example_inputs is not None  # problem_of gives both
    dense = layer_costs(problem.model, problem.example_inputs)
    shapes = _shapes(problem.model)
    factors: dict[str, list[str]] = {name: [] for name in dense}
    widths = {name: shape[0] for name, shape in problem.shapes.items()}
    for name, width in widths.items():
        alone = {other: 1 / width if other == name else 0.0 for other in problem.names}
        smaller = problem.shrink(*problem.masked(alone))
        for other, shape in _shapes(smaller).items():
            shrunk = [now < before for now, before in zip(shape[:2], shapes[other][:2], strict=True)]
            factors[other] += [name] * sum(shrunk)

    def cost(sparsity: Mapping[str, float]) -> float:
        ratio = problem.ratio({name: sparsity.get(name, 0.0) for name in widths})
        left = {name: ratio.count(name, width) / width for name, width in widths.items()}
        total = 0.0
        for name, layer in dense.items():
            share = 1.0
            for factor in factors[name]:
                share *= left[factor]
            total += share * layer.macs
        return total

    return cost


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {f"{name}.weight" if name else "weight": layer.weight.shape for name, layer in weight_layers(model).items()}


def allocate(rule: str, problem: Problem, cost: Cost, cell: Cell) -> PerLayer:
    """The shares of a rule at which `cost` is no more than `cell["macs"]` of the dense model's.

    Raises:
        ValueError: the budget cannot be met.
    """
    share = cell["macs"]
    budget = share * cost(dict.fromkeys(problem.names, 0.0))
    if rule == "uniform":
        return least(lambda each: problem.ratio(dict.fromkeys(problem.names, each)), cost, budget, most=MOST)
    if rule == "erk":
        return least(lambda each: problem.ratio(erk(problem.shapes, each).sparsity), cost, budget, most=MOST)
    if rule == "sensitivity":
        scan = sensitivity_scan(problem)
        return least(
            lambda each: problem.ratio(choose_threshold(scan, problem.sizes, each).sparsity),
            cost,
            budget,
            most=RATIOS_SCANNED[-1],
        )
    options: dict[str, object] = {}
    if rule == "amc":
        explore = max(cell["episodes"] // 4, 1)
        options = {
            "episodes": cell["episodes"],
            "seed": cell["seed"],
            "settings": DdpgSettings(explore=explore),
            "max_sparsity": 0.9,
        }
    elif rule == "netadapt":
        options = {"first_step": NETADAPT_STEP, "decay": 1.0}
    return ALLOCATIONS[rule](problem, 1 - share, cost=cost, **options)


def least(at: Callable[[float], PerLayer], cost: Cost, budget: float, *, most: float) -> PerLayer:
    """The ratio of the smallest overall share, up to `most`, that meets `budget`, by halving.

    Raises:
        ValueError: the largest share does not meet it.
    """
    known = cache(at)
    low, high = 0.0, most
    if cost(known(high).sparsity) > budget * (1 + ROUNDING):
        raise ValueError(f"Even with {most:.0%} removed the cost is above the budget of {budget:.6g} MACs.")
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if cost(known(middle).sparsity) <= budget * (1 + ROUNDING) else (middle, high)
    return known(high)


def findings(result: Result) -> list[str]:
    rules = result.choices("rule")
    sentences: list[str | None] = []
    for number, when in (("pruned test", "right after pruning"), ("test", "after fine-tuning")):
        for rule in rules:
            if rule != "uniform":
                sentences.append(
                    expected_above(
                        rule,
                        result.values(number, rule=rule),
                        "uniform",
                        result.values(number, rule="uniform"),
                        when,
                        result.test_samples,
                    )
                )
    left = ", ".join(f"{rule} {percent(mean(result.values('macs', rule=rule)))}" for rule in rules)
    return [*(each for each in sentences if each is not None), *([f"MACs left: {left}."] if rules else [])]


def plot(result: Result) -> Figure:
    titles = ["pruned only", "fine-tuned"]
    figure, axes = panels(titles, result, x="rule", heading=STUDY.question)
    rules = result.choices("rule")
    for each, number in zip(axes, ("pruned test", "test"), strict=True):
        draw(each, {rule: {place: result.values(number, rule=rule)} for place, rule in enumerate(rules)})
        each.set_xticks(range(len(rules)), rules, rotation=20)
    return finish(figure, axes)


STUDY = Study(
    name="allocations",
    question="Which layer gives how much?",
    settings={"macs": 0.5, "epochs": 20, "learning_rate_factor": 0.2, "episodes": 200, "short_term": 1},
    for_task={"mnist_lenet300": {"epochs": 3, "episodes": 100}},
    plan=plan,
    epochs=epochs,
    run_cell=run_cell,
    findings=findings,
    plot=plot,
)
