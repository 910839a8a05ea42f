"""What is a removed multiplication worth? Multiply-accumulates that are gone against time that is gone.

Papers often report the multiply-accumulates of the weights that are not zero. Here the same count
stands beside the latency that the CPU target measures, in turns with the dense network. A zero is
multiplied like any other number; only what is taken out for good saves time, and more where the
channels left fill the processor's vectors (multiples of 8) than where they do not.

Nothing is trained and no accuracy is looked at: the weights are chosen by magnitude, whole blocks by
their influence, layers to merge from the first on, and the time does not depend on which they are. A
measurement during which the machine was busy is taken again, a few times; if none was quiet, the one
with the narrowest interval stands, marked as noisy.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.entries.export import export_onnx
from hw_targets.cpu.target import CpuTarget
from hw_targets.target import Effort, Measurement, TargetError
from studies.lab import Lab
from studies.plots import draw, finish, panels
from studies.speed_ways import WAYS, WITHOUT_RATIO, ZEROED
from studies.study import Cell, Numbers, Plan, Result, Settings, Study

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from matplotlib.figure import Figure

SAMPLES = 64  # that are inferred in turn
SPEEDUP = "speedup_vs_dense"


def plan(lab: Lab, settings: Settings, seeds: Sequence[int]) -> Plan:
    """Seeds do not matter: nothing is drawn, and a measurement has its own interval."""
    if settings["tries"] < 1:
        raise ValueError(f"tries is a number of measurements, 1 or more, not {settings['tries']}.")
    cells, left_out = [], {}
    for way, make in WAYS.items():
        for ratio in [0.0] if way in WITHOUT_RATIO else settings["ratios"]:
            try:
                make(lab, ratio)
            except ValueError as error:
                left_out[f"{way} at {ratio:.0%}"] = str(error)
            else:
                cells.append({"way": way, "ratio": ratio, "effort": settings["effort"], "tries": settings["tries"]})
    return Plan(cells, left_out)


def run_cell(lab: Lab, cell: Cell) -> Numbers:
    """The share of the multiply-accumulates that is gone, and how much faster the network is, as measured."""
    samples = lab.context(0).data.sample[:SAMPLES]
    entry, dense = (export_onnx(each, samples) for each in (WAYS[cell["way"]](lab, cell["ratio"]), lab.model()))
    found = _quietest(entry, dense, samples.numpy(), cell["effort"], cell["tries"])
    macs, speedup = found.quantities["macs_effective"].value, found.quantities[SPEEDUP]
    return {
        "macs removed": 1 - macs / lab.task.macs,
        "speedup": speedup.value,
        "speedup low": speedup.low or speedup.value,
        "speedup high": speedup.high or speedup.value,
        "noisy": float(found.noisy is not None),
    }


def _quietest(
    entry: onnx.ModelProto, dense: onnx.ModelProto, samples: np.ndarray, effort: Effort, tries: int
) -> Measurement:
    """The first measurement that is not noisy, or of `tries` the one with the narrowest interval.

    Raises:
        TargetError: none has a speed-up, with the last one's reason.
    """
    found: list[Measurement] = []
    while len(found) < tries and not (found and found[-1].noisy is None and SPEEDUP in found[-1].quantities):
        with tempfile.TemporaryDirectory() as folder:
            found.append(CpuTarget().measure(entry, dense, samples, effort, Path(folder)))
    whole = [each for each in found if SPEEDUP in each.quantities]
    if not whole:
        raise TargetError(found[-1].absent[SPEEDUP])
    return min(whole, key=lambda each: (each.noisy is not None, _width(each)))


def _width(measurement: Measurement) -> float:
    speedup = measurement.quantities[SPEEDUP]
    return math.inf if speedup.low is None or speedup.high is None else speedup.high - speedup.low


def findings(result: Result) -> list[str]:
    sentences = []
    for way in result.choices("way"):
        rows = [row.numbers for row in result.rows if row.cell["way"] == way]
        best = max(rows, key=lambda numbers: numbers["speedup"])
        sentences.append(
            f"{way}: at most {best['speedup']:.2f}× ({best['speedup low']:.2f} to {best['speedup high']:.2f}), with "
            f"{best['macs removed']:.1%} of the multiply-accumulates gone{', noisy' if best['noisy'] else ''}."
        )
    noisy = sum(bool(row.numbers["noisy"]) for row in result.rows)
    if noisy:
        sentences.append(f"{noisy} of {len(result.rows)} measurements are noisy: the machine was busy.")
    return sentences


def plot(result: Result) -> Figure:
    figure, axes = panels(
        ["measured beside what a count of operations promises"],
        result,
        x="multiply-accumulates removed, %",
        y="speed-up over the dense network, times",
        dense=1.0,
        heading=STUDY.question,
    )
    curves = {
        way: {
            100 * row.numbers["macs removed"]: {0: row.numbers["speedup"]}
            for row in result.rows
            if row.cell["way"] == way
        }
        for way in result.choices("way")
    }
    draw(axes[0], curves, dashed=ZEROED, scale=1.0)
    for row in result.rows:
        at, low, high = 100 * row.numbers["macs removed"], row.numbers["speedup low"], row.numbers["speedup high"]
        axes[0].vlines(at, low, high, color="#999999", linewidth=1, zorder=0)
    promised = sorted({0.0, *(x for curve in curves.values() for x in curve)})
    axes[0].plot(promised, [1 / (1 - x / 100) for x in promised], color="#bbbbbb", label="as the count promises")
    return finish(figure, axes)


STUDY = Study(
    name="speed",
    question="What is a removed multiplication worth?",
    settings={"ratios": [0.3, 0.5, 0.7], "effort": "quick", "tries": 4},
    plan=plan,
    epochs=lambda cell: 0.1,
    run_cell=run_cell,
    findings=findings,
    plot=plot,
    measures=True,
)
