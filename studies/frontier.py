"""How few weights keep the accuracy? The best pipeline found, beside published figures.

Three pipelines of equal length, all by magnitude with one threshold over all layers (Han et al.
2015, arXiv 1506.02626): gradual (Zhu & Gupta 2017, arXiv 1710.01878), gradual with the dense network
as a teacher (Hinton et al. 2015, arXiv 1503.02531), and iterative with a teacher. At each compression
the pipeline is chosen on validation data; its test accuracy is what counts.

The pruned networks train on for as long as the settings say, after the training that the dense one had;
the dense one does not.

Compression is the number of weights of convolutions and linear layers over the number kept, as in
the paper's tables; indices and bits are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning import gradual, iterative
from studies.comparing import mean_of, percent
from studies.lab import Lab, counted, largest_weights
from studies.plots import draw, finish, panels
from studies.study import Cell, Numbers, Plan, Result, Settings, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = Path(__file__).resolve().parent / "published.yaml"
MASKS_AN_EPOCH = 4  # of the gradual schedule
PIPELINES = ("gradual", "gradual + teacher", "iterative + teacher")


def plan(lab: Lab, settings: Settings, seeds: Sequence[int]) -> Plan:
    shared = {name: settings[name] for name in ("epochs", "learning_rate_factor", "steps")}
    return Plan(
        [
            {"pipeline": pipeline, "compression": compression, "seed": seed, **shared}
            for seed in seeds
            for compression in settings["compressions"]
            for pipeline in settings["pipelines"]
        ]
    )


def run_cell(lab: Lab, cell: Cell) -> Numbers:
    """Prune and recover; all pipelines train for `epochs` in all."""
    schedule, _, teacher = cell["pipeline"].partition(" + ")
    context = lab.context(cell["seed"])
    train: Any = partial(context.train, teacher=lab.model()) if teacher else context.train
    rate = cell["learning_rate_factor"] * context.recipe.learning_rate
    sparsity = 1 - 1 / cell["compression"]
    if schedule == "gradual":
        model, mask = gradual(
            lab.model(),
            largest_weights,
            sparsity=sparsity,
            train=train,
            epochs=cell["epochs"],
            learning_rate=rate,
            every=max(len(context.data.train) // MASKS_AN_EPOCH, 1),
        )
    elif schedule == "iterative":
        each = max(cell["epochs"] // cell["steps"], 1)
        model, mask = iterative(
            lab.model(),
            largest_weights,
            sparsity=sparsity,
            steps=cell["steps"],
            train=train,
            epochs=each,
            learning_rate=rate,
            spacing="geometric",
        )
    else:
        raise ValueError(f"There is no pipeline named {cell['pipeline']!r}. Known: {', '.join(PIPELINES)}.")
    return {**lab.judge(model), **counted(mask)}


def best(result: Result, compression: float) -> tuple[str, dict[int, float]] | None:
    """The pipeline of the highest validation accuracy at `compression`, and its test accuracies."""
    pipelines = result.choices("pipeline", compression=compression)
    if not pipelines:
        return None
    found = {name: result.values("validation", pipeline=name, compression=compression) for name in pipelines}
    most = max(len(values) for values in found.values())  # a pipeline with seeds still missing is not chosen
    chosen = max((name for name in pipelines if len(found[name]) == most), key=lambda name: mean_of(found[name]))
    return chosen, result.values("test", pipeline=chosen, compression=compression)


def findings(result: Result) -> list[str]:
    sentences = []
    whole = 0.0
    for compression in sorted(result.choices("compression")):
        found = best(result, compression)
        if found is None or not found[1]:
            continue
        pipeline, tests = found
        loss = 100 * (mean_of(tests) - result.reference)
        runs = "1 seed" if len(tests) == 1 else f"{len(tests)} seeds, {percent(min(tests.values()))} the least"
        tried = len(result.choices("pipeline", compression=compression))
        why = "the only pipeline tried" if tried == 1 else f"of {tried} pipelines the best on validation data"
        sentences.append(
            f"At {compression:g}× fewer weights, {pipeline} ({why}): {percent(mean_of(tests))} on the test set "
            f"({runs}), {loss:+.2f} points against the dense {percent(result.reference)}."
        )
        if loss >= -1e-9:
            whole = max(whole, compression)
    if sentences:
        sentences.insert(
            0,
            f"At no loss of test accuracy (mean over seeds): {whole:g}× fewer weights."
            if whole
            else "No compression tried keeps the dense network's test accuracy.",
        )
    sentences += [
        f"Published: {of['name']}, {of['compression']:g}×, {of['before']:.2f} % → {of['after']:.2f} % ({of['source']})."
        for of in published(result.task)
    ]
    return sentences


def plot(result: Result) -> Figure:
    title = "every pipeline, and what papers report"
    figure, axes = panels([title], result, x="fewer weights, times", heading=STUDY.question)
    compressions = sorted(result.choices("compression"))
    draw(
        axes[0],
        {
            name: {c: result.values("test", pipeline=name, compression=c) for c in compressions}
            for name in result.choices("pipeline")
        },
    )
    for number, of in enumerate(published(result.task)):
        colour = f"C{7 + number}"
        axes[0].plot([of["compression"]], [of["before"]], marker="_", markersize=12, color=colour)
        axes[0].plot([of["compression"]], [of["after"]], "x", markersize=9, color=colour, label=of["name"])
    axes[0].set_xscale("log", base=2)
    axes[0].set_xticks(compressions, [f"{c:g}×" for c in compressions])
    return finish(figure, axes)


def published(task: str) -> list[dict[str, Any]]:
    """The submissions of published.yaml for `task`, in its order."""
    import yaml

    return [of for of in yaml.safe_load(PUBLISHED.read_text()) if of["task"] == task]


STUDY = Study(
    name="frontier",
    question="How few weights keep the accuracy?",
    settings={
        "compressions": [2.0, 4.0, 8.0, 16.0],
        "pipelines": list(PIPELINES),
        "epochs": 40,
        "steps": 5,
        "learning_rate_factor": 1.0,
    },
    for_task={"mnist_lenet300": {"compressions": [12.0, 16.0, 24.0], "epochs": 30}},
    plan=plan,
    epochs=lambda cell: float(cell["epochs"]),
    run_cell=run_cell,
    findings=findings,
    plot=plot,
)
