"""How much of each layer can fall, all others dense, before the accuracy does?

The scan of Han et al. 2015 (arXiv 1506.02626) and of the lectures: each layer alone loses its
smallest weights, at rising ratios, without fine-tuning. From the curves on validation data follow
the shares that one threshold for all layers gives; a last cell checks them on the whole network,
beside an equal share for all. Curves and check are shown on the test set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from pruning import Mask, PerLayer, Problem, Ratio, Uniform, make_mask, weight_names
from pruning.ratios.sensitivity import choose_threshold, sensitivity_scan
from studies.comparing import difference, mean_of, percent
from studies.lab import Lab, counted
from studies.plots import draw, finish, over_ratios, panels, percents
from studies.study import Cell, Numbers, Plan, Result, Settings, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOSS = 0.01  # of accuracy, up to which a layer counts as bearing it
EVALUATION = 0.05  # of an epoch, roughly: the validation data are few, and there is no backward pass
RULES = ("by sensitivity", "equally")


def plan(lab: Lab, settings: Settings, seeds: Sequence[int]) -> Plan:
    """Nothing here is random, so the seeds are not used."""
    layers = weight_names(lab.dense)
    cells: list[Cell] = [{"layer": name, "ratio": ratio} for name in layers for ratio in settings["ratios"]]
    check = {"scanned": list(settings["ratios"]), "overall": list(settings["overall"]), "layers": len(layers)}
    return Plan([*cells, check])


def epochs(cell: Cell) -> float:
    """The scan of the check takes an evaluation a layer and ratio."""
    return EVALUATION * cell["layers"] * len(cell["scanned"]) if "scanned" in cell else 0.0


def run_cell(lab: Lab, cell: Cell) -> Numbers:
    names = weight_names(lab.dense)
    if "layer" in cell:
        return _judged(lab, PerLayer({name: cell["ratio"] if name == cell["layer"] else 0.0 for name in names}))
    problem = Problem(lab.model(), tuple(names), _mask_at, evaluate=lab.context(0).evaluate)
    scan = sensitivity_scan(problem, cell["scanned"])
    numbers: dict[str, float] = {}
    for overall in cell["overall"]:
        chosen = choose_threshold(scan, problem.sizes, overall)
        both: tuple[Ratio, Ratio] = (chosen, Uniform(overall))
        for rule, ratio in zip(RULES, both, strict=True):
            numbers |= {f"{rule} {overall:g} {name}": value for name, value in _judged(lab, ratio).items()}
        numbers |= {f"removed from {name} {overall:g}": share for name, share in chosen.sparsity.items()}
    return numbers


def findings(result: Result) -> list[str]:
    borne = {name: _borne(result, name) for name in result.choices("layer")}
    sentences = [
        f"{name} alone bears {ratio:.0%} at a loss of no more than {100 * LOSS:g} point of test accuracy."
        for name, ratio in borne.items()
    ]
    if len(set(borne.values())) > 1:
        least, most = max(borne, key=borne.__getitem__), min(borne, key=borne.__getitem__)
        sentences.append(f"The most sensitive layer is {most}, the least sensitive {least}.")
    for overall in _overall(result):
        chosen, equal = (result.values(f"{rule} {overall:g} test") for rule in RULES)
        found = difference(chosen, equal, result.test_samples)
        if found is not None:
            above = ("above" if found.mean > 0 else "below") if found.told_apart else "not told apart from"
            sentences.append(
                f"With {overall:.0%} of all weights removed, without fine-tuning, shares by sensitivity are {above} "
                f"equal ones: {percent(found.mean_a)} vs {percent(found.mean_b)} "
                f"(difference {100 * found.mean:+.2f} ± {100 * found.margin:.2f} points)."
            )
    return sentences


def plot(result: Result) -> Figure:
    titles = ["one layer alone", "all layers, same number of weights"]
    figure, axes = panels(titles, result, x="weights removed, %", heading=STUDY.question)
    draw(
        axes[0],
        {name: over_ratios(result, "test", layer=name) for name in result.choices("layer")},
    )
    overall = _overall(result)
    draw(
        axes[1],
        {rule: percents(overall, [result.values(f"{rule} {share:g} test") for share in overall]) for rule in RULES},
    )
    return finish(figure, axes)


def _overall(result: Result) -> list[float]:
    return next((list(row.cell["overall"]) for row in result.rows if "overall" in row.cell), [])


def _borne(result: Result, layer: str) -> float:
    """The largest ratio up to which no ratio of `layer` loses more than `LOSS`; 0 if the first does."""
    borne = 0.0
    for ratio in sorted(result.choices("ratio", layer=layer)):
        if mean_of(result.values("test", layer=layer, ratio=ratio)) < result.reference - LOSS:
            break
        borne = ratio
    return borne


def _judged(lab: Lab, ratio: Ratio) -> dict[str, float]:
    model = lab.model()
    mask = _mask_at(model, ratio, None)
    return {**lab.judge(mask.apply_(model)), **counted(mask)}


def _mask_at(model: nn.Module, ratio: Ratio, within: Mask | None) -> Mask:
    return make_mask(model, criterion="magnitude", granularity="element", ratio=ratio, within=within)


STUDY = Study(
    name="sensitivity",
    question="How much of each layer can fall?",
    settings={
        "ratios": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95],
        "overall": [0.5, 0.6, 0.7, 0.8, 0.9],
    },
    plan=plan,
    epochs=epochs,
    run_cell=run_cell,
    findings=findings,
    plot=plot,
)
