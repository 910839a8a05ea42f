"""Where should the range of an activation end? Tails cut, against the whole range that was seen.

Eight bits have 256 steps. A range that reaches to the rarest value spends them on what hardly occurs;
one that ends earlier has finer steps for all others, and cuts the tails (Krishnamoorthi 2018, arXiv
1806.08342; Nagel et al. 2021, arXiv 2106.08295, section 3.1). Beside it stands the choice that the
same papers make for weights: a scale for each output, or one for the whole layer.

What flows between the layers has 8 bits, the weights as many as a panel says; batch norms are folded,
and nothing is trained after the rounding. A seed draws the training batches by which the ranges are
chosen; which range is called the best is decided on validation data. All points are test accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pruning import MinMax, Percentile, to_int8
from studies.comparing import expected_above, mean_of, percent
from studies.lab import Lab
from studies.plots import draw, finish, panels
from studies.study import Cell, Numbers, Plan, Result, Settings, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHOLE = 100.0  # per cent: from the least to the greatest value seen
TAIL = 99.9  # a percentile below cuts more than tails; no gain is expected of it
SCALES = {"a scale for each output": True, "one scale a layer": False}


def plan(lab: Lab, settings: Settings, seeds: Sequence[int]) -> Plan:
    return Plan(
        [
            {"bits": bits, "scales": scales, "percent": share, "batches": settings["batches"], "seed": seed}
            for seed in seeds
            for bits in settings["bits"]
            for scales in SCALES
            for share in settings["percents"]
        ]
    )


def run_cell(lab: Lab, cell: Cell) -> Numbers:
    rounded = to_int8(
        lab.model(),
        cell["bits"],
        per_channel=SCALES[cell["scales"]],
        data=lab.batches(cell["batches"], cell["seed"]),
        calibration=MinMax() if cell["percent"] == WHOLE else Percentile(cell["percent"]),
    )
    return lab.judge(rounded)


def name_of(share: float) -> str:
    """`percentile 99.9`, or `the greatest value`."""
    return "the greatest value" if share == WHOLE else f"percentile {share:g}"


def findings(result: Result) -> list[str]:
    sentences: list[str | None] = []
    for bits in result.choices("bits"):
        at = _by_percent(result, bits=bits, scales="a scale for each output")
        if not at:
            continue
        judged = _by_percent(result, "validation", bits=bits, scales="a scale for each output")
        best = max(judged, key=lambda each: mean_of(judged[each]))
        sentences.append(
            f"weights of {bits} bits: the best of the ranges tried ends at {name_of(best)}: "
            f"{percent(mean_of(at[best]))} of the dense {percent(result.reference)}."
        )
        for cut in (share for share in at if TAIL <= share < WHOLE):
            pair = (f"a range to {name_of(cut)}", at[cut], "the whole range", at.get(WHOLE, {}))
            sentences.append(expected_above(*pair, f"with weights of {bits} bits", result.test_samples))
        one = _by_percent(result, bits=bits, scales="one scale a layer")
        if best in one:
            pair = ("a scale for each output", at[best], "one scale a layer", one[best])
            where = f"with weights of {bits} bits and a range to {name_of(best)}"
            sentences.append(expected_above(*pair, where, result.test_samples))
    return [sentence for sentence in sentences if sentence is not None]


def plot(result: Result) -> Figure:
    widths, shares = result.choices("bits"), sorted(result.choices("percent"))
    titles = [f"weights of {bits} bits" for bits in widths]
    figure, axes = panels(
        titles, result, x="percentile at which the range ends, above and below", heading=STUDY.question
    )
    for each, bits in zip(axes, widths, strict=False):
        curves = {}
        for scales in SCALES:
            at = _by_percent(result, bits=bits, scales=scales)
            curves[scales] = {float(shares.index(share)): of_seed for share, of_seed in at.items()}
        draw(each, curves, among=list(SCALES))
        each.set_xticks(range(len(shares)), ["all" if share == WHOLE else f"{share:g}" for share in shares])
    return finish(figure, axes)


def _by_percent(result: Result, number: str = "test", **where: Any) -> dict[float, Mapping[int, float]]:
    """Percent → seed → accuracy."""
    return {each: result.values(number, percent=each, **where) for each in result.choices("percent", **where)}


STUDY = Study(
    name="calibration",
    question="Where should the range of an activation end?",
    settings={"percents": [90.0, 95.0, 99.0, 99.9, 99.99, WHOLE], "bits": [8, 6, 4], "batches": 4},
    plan=plan,
    epochs=lambda cell: 0.3,  # mostly judging
    run_cell=run_cell,
    findings=findings,
    plot=plot,
)
