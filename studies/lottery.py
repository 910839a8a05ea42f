"""Is it the initial weights? Winning tickets and their two controls (Frankle & Carbin 2019, arXiv 1803.03635).

A ticket is found by training, pruning by magnitude and going back to the initial weights. Then three
sparse networks are trained, alike but for one thing: the ticket; its mask with weights drawn anew;
its weights with a mask of the same count in each layer, at random places. The paper finds the ticket
above both. A fourth starts like the third, but its connections move while it trains (RigL: Evci et al.
2020, arXiv 1911.11134), which needs no dense training to find the mask.

Nothing is chosen in this study; all points are test accuracy at the end of the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pruning import rigl
from pruning.schedules.lottery_tickets import find_ticket
from studies.comparing import expected_above
from studies.lab import Lab, counted, largest_weights
from studies.plots import draw, finish, over_ratios, panels
from studies.study import Cell, Numbers, Plan, Result, Settings, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {
    "ticket": "winning ticket",
    "redrawn": "same mask, new weights",
    "random": "random mask, same counts",
    "moving": "random mask that moves (RigL)",
}
EXPECTED = (("ticket", "redrawn"), ("ticket", "random"), ("moving", "random"))  # the first above the second
OTHER_WEIGHTS = 1000  # added to a cell's seed, for what must be drawn independently of it


def plan(lab: Lab, settings: Settings, seeds: Sequence[int]) -> Plan:
    shared = {name: settings[name] for name in ("epochs", "rounds", "rewind_steps")}
    return Plan([{"ratio": ratio, "seed": seed, **shared} for seed in seeds for ratio in settings["ratios"]])


def epochs(cell: Cell) -> float:
    return float(cell["epochs"] * (cell["rounds"] + len(KINDS)))


def run_cell(lab: Lab, cell: Cell) -> Numbers:
    """One ticket and its controls; each number is `<kind> test` or `<kind> validation`."""
    seed = cell["seed"]
    context = lab.context(seed)
    ticket = find_ticket(
        context.fresh_model(seed),
        largest_weights,
        sparsity=cell["ratio"],
        train=context.train,
        epochs=cell["epochs"],
        initial=lambda: context.fresh_model(seed),
        rounds=cell["rounds"],
        rewind_steps=cell["rewind_steps"],
    )
    starts = {
        "ticket": ticket,
        "redrawn": ticket.reinitialised(lambda: context.fresh_model(seed + OTHER_WEIGHTS)),
        "random": ticket.shuffled(seed + OTHER_WEIGHTS),
    }
    numbers = counted(ticket.mask)
    for kind, start in starts.items():
        same = lab.context(seed)  # all three see the same batches in the same order
        model = same.train(start.load_(same.fresh_model(seed)), epochs=cell["epochs"], mask=start.mask)
        numbers |= {f"{kind} {part}": value for part, value in lab.judge(model).items()}
    same, start = lab.context(seed), starts["random"]
    model, _ = rigl(
        start.load_(same.fresh_model(seed)),
        lambda *_: start.mask,
        sparsity=cell["ratio"],
        train=same.train,
        epochs=cell["epochs"],
    )
    return numbers | {f"moving {part}": value for part, value in lab.judge(model).items()}


def findings(result: Result) -> list[str]:
    sentences = [
        expected_above(
            KINDS[above],
            result.values(f"{above} test", ratio=ratio),
            KINDS[below],
            result.values(f"{below} test", ratio=ratio),
            f"at {ratio:.0%}",
            result.test_samples,
        )
        for above, below in EXPECTED
        for ratio in sorted(result.choices("ratio"))
    ]
    return [each for each in sentences if each is not None]


def plot(result: Result) -> Figure:
    figure, axes = panels(["trained from the start"], result, x="weights removed, %", heading=STUDY.question)
    draw(
        axes[0],
        {label: over_ratios(result, f"{kind} test") for kind, label in KINDS.items()},
    )
    return finish(figure, axes)


STUDY = Study(
    name="lottery",
    question="Do winning tickets need their initial weights?",
    settings={"ratios": [0.8, 0.95], "epochs": 40, "rounds": 1, "rewind_steps": 500},
    for_task={
        "mnist_lenet300": {"ratios": [0.8, 0.95, 0.98], "epochs": 3, "rounds": 1, "rewind_steps": 0},
        "digits_mlp": {"epochs": 20, "rounds": 1, "rewind_steps": 0},
    },
    plan=plan,
    epochs=epochs,
    run_cell=run_cell,
    findings=findings,
    plot=plot,
)
