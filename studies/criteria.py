"""Which weights matter? All criteria that apply, at equal ratios; random choice is the control.

A criterion scores single weights, output units or input channels, and is tried with each
granularity that it can serve: single weights, filters (rows of a linear layer), channels (columns).
Shares are equal in all layers, so that criteria are compared by their order within a layer. Filters
fall where they could be taken out for good, with their biases and batch norms; channels everywhere
but in the first layer. Mittal et al. 2018 (arXiv 1801.10447) report that after enough fine-tuning
even random choice of filters comes close.

Criteria that look at data see a few training batches. Nothing is chosen in this study; all points
are test accuracy, right after pruning and after the same fine-tuning. Channels also show what solving
for the weights left brings without training (He et al. 2017, arXiv 1707.06168), from the same batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pruning import Mask, Random, Uniform, coupled, fine_tune, make_mask, prunable_filters, reconstruct, weight_layers
from pruning.criteria import CRITERIA
from pruning.granularity import GRANULARITIES
from studies.comparing import difference, mean_of, percent
from studies.lab import Lab, counted
from studies.plots import draw, finish, over_ratios, panels
from studies.study import Cell, Numbers, Plan, Result, Settings, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBES = 8  # samples with which each criterion is tried before anything is run
POSITIONS = 10  # of a layer's output, on average for each image, that reconstruction solves for
SCOPES = ("element", "filter", "channel")
WHEN = {"pruned test": "pruned only", "reconstructed test": "reconstructed", "test": "fine-tuned"}


def plan(lab: Lab, settings: Settings, seeds: Sequence[int]) -> Plan:
    pairs: list[tuple[str, str]] = []
    left_out: dict[str, str] = {}
    batches = [(inputs[:PROBES], labels[:PROBES]) for inputs, labels in lab.batches(1)]
    for scope in SCOPES:
        if scope not in GRANULARITIES:
            left_out[scope] = "there is no such granularity"
            continue
        for name in CRITERIA:
            reason = obstacle(lab, name, scope, batches)
            if reason is None:
                pairs.append((scope, name))
            else:
                left_out[f"{name} of {scope}s"] = reason
    shared = {name: settings[name] for name in ("epochs", "learning_rate_factor", "batches")}
    return Plan(
        [
            {"granularity": scope, "criterion": name, "ratio": ratio, "seed": seed, **shared}
            for seed in seeds
            for ratio in settings["ratios"]
            for scope, name in pairs
        ],
        left_out,
    )


def obstacle(lab: Lab, criterion: str, scope: str, batches: Sequence[Any]) -> str | None:
    """Why the criterion cannot choose among such groups here, or None."""
    unit = CRITERIA[criterion]().unit
    if unit not in ("weight", scope):
        return f"it scores each {unit}"
    try:
        mask_of(lab, criterion, scope, 0.5, batches, seed=0)
    except ValueError as error:
        return str(error)
    return None


def layers_of(lab: Lab, scope: str) -> list[str]:
    """Names of the layers that lose groups of this kind."""
    layers = list(weight_layers(lab.dense))
    if scope == "filter":
        return prunable_filters(lab.dense, lab.context(0).data.sample[:2])
    return layers[1:] if scope == "channel" else layers


def mask_of(lab: Lab, criterion: str, scope: str, ratio: float, batches: Sequence[Any], seed: int) -> Mask:
    """The mask of one criterion; `seed` is that of the random one."""
    model = lab.dense
    mask = make_mask(
        model,
        criterion=Random(seed) if criterion == "random" else criterion,
        granularity=scope,
        ratio=Uniform(ratio, keep_at_least=1),
        layers=layers_of(lab, scope),
        data=batches,
    )
    return coupled(model, mask, lab.context(0).data.sample[:2]) if scope == "filter" else mask


def run_cell(lab: Lab, cell: Cell) -> Numbers:
    """Accuracy right after pruning (`pruned test`), of channels after reconstruction, and after fine-tuning."""
    model, context = lab.model(), lab.context(cell["seed"])
    batches = lab.batches(cell["batches"], cell["seed"])
    mask = mask_of(lab, cell["criterion"], cell["granularity"], cell["ratio"], batches, cell["seed"])
    judged = {"pruned": lab.judge(mask.apply_(model))}
    if cell["granularity"] == "channel":
        solved = reconstruct(lab.model(), lab.dense, mask, batches, positions=POSITIONS, seed=cell["seed"])
        judged["reconstructed"] = lab.judge(solved)
    rate = cell["learning_rate_factor"] * context.recipe.learning_rate
    model = fine_tune(model, mask, train=context.train, epochs=cell["epochs"], learning_rate=rate)
    before = {f"{when} {part}": value for when, parts in judged.items() for part, value in parts.items()}
    return {**lab.judge(model), **before, **counted(mask)}


def findings(result: Result) -> list[str]:
    places = [
        (number, scope, ratio, f"{ratio:.0%} of {scope}s removed, {when}")
        for number, when in WHEN.items()
        for scope in result.choices("granularity")
        for ratio in sorted(result.choices("ratio", granularity=scope))
    ]
    sentences = (_ranking(result, *place) for place in places)
    return [each for each in sentences if each is not None]


def _ranking(result: Result, number: str, scope: str, ratio: float, where: str) -> str | None:
    """All criteria from the best to the worst, and which of them differ from random by more than the margin."""
    found = {
        name: values
        for name in result.choices("criterion", granularity=scope, ratio=ratio)
        if (values := result.values(number, granularity=scope, ratio=ratio, criterion=name))
    }
    if len(found) < 2:
        return None
    best = sorted(found, key=lambda name: -mean_of(found[name]))
    ranking = ", ".join(f"{name} {percent(mean_of(found[name]))}" for name in best)
    told: dict[str, list[str]] = {"above random": [], "not told apart from it": [], "below it": []}
    for name in best:
        against = difference(found[name], found.get("random", {}), result.test_samples)
        if name != "random" and against is not None:
            side = (
                ("above random" if against.mean > 0 else "below it") if against.told_apart else "not told apart from it"
            )
            told[side].append(name)
    verdicts = "; ".join(f"{side}: {', '.join(names) or 'none'}" for side, names in told.items())
    seeds = max(len(values) for values in found.values())
    return f"{where} ({seeds} {'seed' if seeds == 1 else 'seeds'}): {ranking}. {verdicts[:1].upper()}{verdicts[1:]}."


def plot(result: Result) -> Figure:
    shown = [
        (scope, number)
        for scope in result.choices("granularity")
        for number in WHEN
        if result.values(number, granularity=scope)
    ]
    titles = [f"{scope}s, {WHEN[number]}" for scope, number in shown]
    figure, axes = panels(titles, result, x="groups removed, %", heading=STUDY.question)
    for each, (scope, number) in zip(axes, shown, strict=False):
        curves = {}
        for name in result.choices("criterion", granularity=scope):
            curves[name] = over_ratios(result, number, granularity=scope, criterion=name)
        draw(each, curves, dashed=["random"], among=result.choices("criterion"))
    return finish(figure, axes)


STUDY = Study(
    name="criteria",
    question="Which weights matter?",
    settings={"ratios": [0.5, 0.8, 0.9], "epochs": 10, "learning_rate_factor": 0.2, "batches": 8},
    for_task={"mnist_lenet300": {"ratios": [0.8, 0.95], "epochs": 1}},
    plan=plan,
    epochs=lambda cell: float(cell["epochs"]),
    run_cell=run_cell,
    findings=findings,
    plot=plot,
)
