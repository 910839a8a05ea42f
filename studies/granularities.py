"""What does regularity cost? All granularities at equal ratios (Mao et al. 2017, arXiv 1705.08922).

Weights that fall in larger pieces are easier to skip and harder to spare. Each granularity removes
the same share of the same layers, by magnitude and with equal shares a layer, once and then after
the same fine-tuning. The first convolution and the last linear layer stay dense, since not every
granularity can cut them. Patterns that fix their own ratio take part where it is one of those asked.

Whole filters are masked, not taken out, and biases and batch norms of removed filters stay: what is
compared is the choice of weights. Nothing is chosen in this study; all points are test accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pruning import Granularity, Mask, Pattern, Uniform, fine_tune, make_mask, weight_layers, weight_names
from pruning.granularity import GRANULARITIES
from studies.comparing import expected_above
from studies.lab import Lab, counted
from studies.plots import draw, finish, over_ratios, panels
from studies.study import Cell, Numbers, Plan, Result, Settings, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

TOLERANCE = 0.02  # how far a granularity may be from the ratio asked for


def plan(lab: Lab, settings: Settings, seeds: Sequence[int]) -> Plan:
    applicable: list[tuple[str, float]] = []
    left_out: dict[str, str] = {}
    for name in GRANULARITIES:
        if name == "heads":
            left_out[name] = "attention heads fall across four layers at once, see pruning.shrinking.head_mask"
            continue
        for ratio in settings["ratios"]:
            try:
                found = mask_of(lab.dense, name, ratio).sparsity
            except ValueError as error:
                left_out[name] = str(error)
                break
            if abs(found - ratio) <= TOLERANCE:
                applicable.append((name, ratio))
            else:
                left_out[f"{name} at {ratio:.0%}"] = f"its groups or its pattern remove {found:.1%} instead"
    shared = {name: settings[name] for name in ("epochs", "learning_rate_factor")}
    return Plan(
        [{"granularity": name, "ratio": ratio, "seed": seed, **shared} for seed in seeds for name, ratio in applicable],
        left_out,
    )


def mask_of(model: nn.Module, name: str, ratio: float) -> Mask:
    """The mask of granularity `name` at `ratio`, or at the ratio that its pattern fixes.

    Raises:
        ValueError: it cannot cut the layers of this model.
    """
    groups = with_ratio(name, ratio)
    pattern = isinstance(groups, Pattern)
    inner = weight_names(model, skip_first_conv=True, skip_last_linear=len(weight_layers(model)) > 1)
    return make_mask(
        model,
        criterion="magnitude",
        granularity=groups,
        ratio=None if pattern else Uniform(ratio, keep_at_least=1),
        layers=[each.removesuffix(".weight") for each in inner],
    )


def with_ratio(name: str, ratio: float) -> Granularity | Pattern:
    """The granularity with its defaults; a pattern that has a ratio among its fields gets this one."""
    make: Any = GRANULARITIES[name]
    groups = make()
    if not isinstance(groups, Pattern):
        return groups
    own = {field.name for field in fields(make)}
    if "sparsity" in own:
        groups = make(sparsity=ratio)
    elif {"n", "m"} <= own:
        groups = make(n=round((1 - ratio) * groups.m))  # type: ignore[attr-defined]
    return groups


def run_cell(lab: Lab, cell: Cell) -> Numbers:
    """Accuracy right after pruning (`pruned test`), and, unless there are no epochs, after fine-tuning (`test`)."""
    model, context = lab.model(), lab.context(cell["seed"])
    mask = mask_of(model, cell["granularity"], cell["ratio"])
    pruned = {f"pruned {part}": value for part, value in lab.judge(mask.apply_(model)).items()}
    if not cell["epochs"]:
        return {**pruned, **counted(mask)}
    rate = cell["learning_rate_factor"] * context.recipe.learning_rate
    model = fine_tune(model, mask, train=context.train, epochs=cell["epochs"], learning_rate=rate)
    return {**lab.judge(model), **pruned, **counted(mask)}


def findings(result: Result) -> list[str]:
    sentences = []
    number, when = _last(result)
    for ratio in sorted(result.choices("ratio")):
        for name in result.choices("granularity", ratio=ratio):
            if name != "element":
                sentences.append(
                    expected_above(
                        "element",
                        result.values(number, granularity="element", ratio=ratio),
                        name,
                        result.values(number, granularity=name, ratio=ratio),
                        f"at {ratio:.0%} {when}",
                        result.test_samples,
                    )
                )
    return [each for each in sentences if each is not None]


def plot(result: Result) -> Figure:
    shown = {"after fine-tuning": "test", "after fine-tuning, close up": "test", "pruned only": "pruned test"}
    if result.rows and _last(result)[0] != "test":
        shown = {"pruned only": "pruned test"}
    close_up = [place for place, title in enumerate(shown) if "close up" in title]
    figure, axes = panels(list(shown), result, x="weights removed, %", heading=STUDY.question, close_up=close_up)
    for each, number in zip(axes, shown.values(), strict=True):
        draw(each, {name: over_ratios(result, number, granularity=name) for name in result.choices("granularity")})
    return finish(figure, axes)


def _last(result: Result) -> tuple[str, str]:
    """The number that cells end with, and when it is."""
    tuned = any("test" in row.numbers for row in result.rows)
    return ("test", "after fine-tuning") if tuned else ("pruned test", "right after pruning")


STUDY = Study(
    name="granularities",
    question="What does regularity cost?",
    settings={"ratios": [0.5, 0.556, 0.75, 0.9], "epochs": 10, "learning_rate_factor": 0.2},
    for_task={"mnist_lenet300": {"ratios": [0.5, 0.75, 0.9], "epochs": 1}},
    plan=plan,
    epochs=lambda cell: float(cell["epochs"]),
    run_cell=run_cell,
    findings=findings,
    plot=plot,
)
