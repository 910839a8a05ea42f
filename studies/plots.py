"""What the studies' figures share: curves over seeds, colours, and a file that is the same each time."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from harness.util.figures import GREY, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from studies.study import Result

LOOK: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "openprune",
}
COLOURS = (*PALETTE, "#333333", "#8C564B", "#6A3D9A", "#9A9A00")
MARKERS = "osD^vPX*<>"
LONG_LEGEND = 15
ACROSS = 4  # panels
CLOSE_UP = 3.0  # points of accuracy
Curve = Mapping[float, Mapping[int, float]]  # x → seed → value, mostly accuracy in 0…1


def panels(
    titles: Sequence[str],
    result: Result,
    *,
    x: str,
    heading: str,
    y: str = "test accuracy, %",
    dense: float | None = None,
    close_up: Sequence[int] = (),
) -> tuple[Figure, list[Axes]]:
    """An empty figure with one panel a title, up to four side by side; the dense network is a grey line in each.

    Args:
        dense: where that line is; default: at the dense network's accuracy.
        close_up: numbers of the panels that show only the last few points of accuracy below the dense network.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(LOOK):
        count = max(len(titles), 1)
        columns = min(count, ACROSS)
        rows = -(-count // columns)
        figure = Figure(figsize=(5.2 * columns + 1.2, 4.4 * rows), layout="constrained")
        figure.suptitle(f"{heading} ({result.task})", fontsize=12)
        every = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in every[count:]:
        figure.delaxes(axes)
    for axes, title in zip(every, titles, strict=False):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(x)
        axes.axhline(
            100 * result.reference if dense is None else dense, color=GREY, linestyle=":", linewidth=1.5, label="dense"
        )
        axes.grid(color="#dddddd", linewidth=0.6)
    for number in close_up:
        every[number].set_ylim(100 * result.reference - CLOSE_UP, 100 * result.reference + CLOSE_UP / 10)
    for axes in every[:count:columns]:
        axes.set_ylabel(y)
    return figure, every[:count]


def draw(
    axes: Axes,
    curves: Mapping[str, Curve],
    *,
    dashed: Sequence[str] = (),
    among: Sequence[str] = (),
    scale: float = 100.0,
) -> None:
    """A line a curve, through the means over seeds; bars are standard deviations over seeds, if there are several.

    Where all curves have one and the same point, they stand side by side around it.

    Args:
        scale: of the values; the default shows shares in per cent.
        among: the labels of all panels, where each label is to look the same in all; default: this panel's.
    """
    labels = list(among or curves)
    everywhere = {x for curve in curves.values() for x, of_seed in curve.items() if of_seed}
    side_by_side = len(everywhere) == 1 and len(curves) > 1
    if side_by_side:
        axes.set_xticks(list(everywhere))
        axes.set_xlim(min(everywhere) - len(labels) / 2, max(everywhere) + len(labels) / 2)
    for label, curve in curves.items():
        place = labels.index(label)
        points = {x: list(of_seed.values()) for x, of_seed in sorted(curve.items()) if of_seed}
        if points:
            aside = place - (len(labels) - 1) / 2 if side_by_side else 0.0
            axes.errorbar(
                [x + aside for x in points],
                [scale * statistics.fmean(values) for values in points.values()],
                yerr=[scale * statistics.stdev(values) if len(values) > 1 else 0.0 for values in points.values()],
                label=label,
                color=COLOURS[place % len(COLOURS)],
                marker=MARKERS[(place + place // len(COLOURS)) % len(MARKERS)],  # no look comes twice
                markersize=5,
                capsize=3,
                linewidth=1.6,
                linestyle="--" if label in dashed else "-",
            )


def finish(figure: Figure, axes: Sequence[Axes]) -> Figure:
    """Legends, once all curves are drawn."""
    for each in axes:
        entries = len(each.get_legend_handles_labels()[0])
        if entries > LONG_LEGEND:
            each.legend(fontsize=6, frameon=False, ncols=2)
        elif entries:
            each.legend(fontsize=8, frameon=False)
    return figure


def percents(ratios: Sequence[Any], values: Sequence[Mapping[int, float]]) -> dict[float, Mapping[int, float]]:
    """A curve over ratios, in per cent."""
    return {100 * float(ratio): of_seed for ratio, of_seed in zip(ratios, values, strict=True)}


def over_ratios(result: Result, number: str, **where: Any) -> dict[float, Mapping[int, float]]:
    """The curve of `number` over the ratios, in per cent, of the rows whose cell has the parameters `where`."""
    ratios = sorted(result.choices("ratio", **where))
    return percents(ratios, [result.values(number, ratio=ratio, **where) for ratio in ratios])


def to_svg(figure: Figure) -> str:
    """The figure as SVG text: equal figures, equal text."""
    import matplotlib as mpl

    out = StringIO()
    with mpl.rc_context(LOOK):
        figure.savefig(out, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
