"""How few bits keep the accuracy? A codebook against an even grid, on the whole network and on a pruned one.

Deep Compression (Han et al. 2016, arXiv 1510.00149, figures 6 and 7) asks how short the codes of
weights can be, with the shared values trained or not, and finds that pruning and sharing do not get
in each other's way. Beside the codebook, whose values k-means places where the weights are, stands
the even grid of quantisation-aware training (Jacob et al. 2018, arXiv 1712.05877). Each is judged
right after the rounding, and after a short training with the rounding in place.

The pruned network loses its smallest weights at once and is trained before it is rounded; zero is a
code of its own in the codebook, and one of the grid's. All convolutions and linear layers take the
same number of bits; activations stay in float. A codebook serves a whole layer, the grid has a scale for
each output: neither is counted among the bits. Nothing is chosen in this study; all points are test
accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pruning import one_shot, quantise_aware, share_weights
from studies.comparing import expected_above, mean_of, percent
from studies.lab import Lab, counted, largest_weights
from studies.plots import draw, finish, panels
from studies.study import Cell, Numbers, Plan, Result, Settings, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VALUES = ("codebook", "even grid")
FLOAT_BITS = 32
LOSS = 0.005  # of accuracy, that a width may cost and still count as kept


def plan(lab: Lab, settings: Settings, seeds: Sequence[int]) -> Plan:
    shared = {
        name: settings[name] for name in ("epochs", "learning_rate_factor", "codebook_rate_factor", "prune_epochs")
    }
    pairs = [(values, bits) for bits in settings["bits"] for values in VALUES]
    return Plan(
        [
            {"values": values, "bits": bits, "pruned": pruned, "seed": seed, **shared}
            for seed in seeds
            for pruned in settings["pruned"]
            for values, bits in pairs
            if (values, bits) != ("even grid", 1)
        ],
        {"even grid of 1 bit": "beside zero it has no value"} if ("even grid", 1) in pairs else {},
    )


def run_cell(lab: Lab, cell: Cell) -> Numbers:
    """Accuracy right after the rounding (`rounded test`), and after the training that follows."""
    context = lab.context(cell["seed"])
    rate = cell["learning_rate_factor"] * context.recipe.learning_rate
    model, mask = one_shot(
        lab.model(),
        largest_weights,
        sparsity=cell["pruned"],
        train=context.train,
        epochs=cell["prune_epochs"] if cell["pruned"] else 0,
        learning_rate=rate,
    )
    if cell["values"] == "codebook":
        model = share_weights(model, cell["bits"], mask)
        rounded = lab.judge(model)
        rate = cell["codebook_rate_factor"] * context.recipe.learning_rate
        model = context.train(model, epochs=cell["epochs"], learning_rate=rate)
    else:
        rounded = lab.judge(quantise_aware(model, cell["bits"], train=context.train, epochs=0, mask=mask))
        model = quantise_aware(
            model, cell["bits"], train=context.train, epochs=cell["epochs"], learning_rate=rate, mask=mask
        )
    return {**lab.judge(model), **{f"rounded {part}": value for part, value in rounded.items()}, **counted(mask)}


def label(values: str, pruned: float) -> str:
    """`codebook, 90 % pruned`."""
    return f"{values}, {100 * pruned:g} % pruned" if pruned else values


def findings(result: Result) -> list[str]:
    kinds = [(values, pruned) for pruned in result.choices("pruned") for values in result.choices("values")]
    sentences: list[str | None] = [fewest_bits(result, values, pruned) for values, pruned in kinds]
    for bits in sorted(result.choices("bits"), reverse=True):
        for pruned in result.choices("pruned"):
            trained = {values: result.values("test", values=values, pruned=pruned, bits=bits) for values in VALUES}
            rounded = {
                values: result.values("rounded test", values=values, pruned=pruned, bits=bits) for values in VALUES
            }
            where = f"at {bits} bits" + (f" of a network {100 * pruned:g} % pruned" if pruned else "")
            pairs = [
                ("codebook before training", rounded["codebook"], "even grid before training", rounded["even grid"]),
                *((f"trained {values}", trained[values], "the untrained", rounded[values]) for values in VALUES),
            ]
            sentences += [expected_above(*pair, where, result.test_samples) for pair in pairs]
    return [each for each in sentences if each is not None]


def fewest_bits(result: Result, values: str, pruned: float) -> str:
    """The shortest codes that, once trained, keep the dense accuracy but for `LOSS`, and what they save."""
    where = {"values": values, "pruned": pruned}
    tests = {bits: result.values("test", bits=bits, **where) for bits in result.choices("bits", **where)}
    within = [bits for bits, of_seed in tests.items() if mean_of(of_seed) >= result.reference - LOSS]
    limit = f"{100 * LOSS:g} points of the dense {percent(result.reference)}"
    if not within:
        return f"{label(values, pruned)}: no width tried stays within {limit}."
    bits = min(within)
    row = next(row for row in result.rows if row.cell["bits"] == bits and row.cell["pruned"] == pruned)
    saved = FLOAT_BITS * row.numbers["total"] / (bits * row.numbers["kept"])
    return (
        f"{label(values, pruned)}: within {limit} down to {bits} bits: {percent(mean_of(tests[bits]))}, {saved:.3g}× "
        "fewer bits for the values that are left (where they stand is not counted)."
    )


def plot(result: Result) -> Figure:
    titles = ["rounded and trained", "the same, close up", "rounded only"]
    figure, axes = panels(titles, result, x="bits a weight", heading=STUDY.question, close_up=[1])
    widths = sorted(result.choices("bits"))
    for each, number in zip(axes, ("test", "test", "rounded test"), strict=True):
        curves = {
            label(values, pruned): {
                bits: result.values(number, values=values, pruned=pruned, bits=bits) for bits in widths
            }
            for pruned in result.choices("pruned")
            for values in result.choices("values")
        }
        draw(each, curves, dashed=[name for name in curves if "pruned" in name])
        each.set_xticks(widths)
    return finish(figure, axes)


STUDY = Study(
    name="bits",
    question="How few bits keep the accuracy?",
    settings={
        "bits": [8, 4, 3, 2],
        "pruned": [0.0, 0.8],
        "prune_epochs": 10,
        "epochs": 5,
        "learning_rate_factor": 0.2,
        "codebook_rate_factor": 0.01,  # a shared value gathers the gradients of all its weights
    },
    for_task={"mnist_lenet300": {"bits": [8, 5, 4, 3, 2], "pruned": [0.0, 0.9], "prune_epochs": 3, "epochs": 1}},
    plan=plan,
    epochs=lambda cell: cell["epochs"] + (cell["prune_epochs"] if cell["pruned"] else 0.0),
    run_cell=run_cell,
    findings=findings,
    plot=plot,
)
