"""The EIE study's files: tables to read, a plot, and all numbers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.store.methodology import METHODOLOGY
from harness.util.environment import describe_environment
from harness.util.files import write_atomically
from harness.util.progress import progress_bar
from hw_targets.eie.paper import LAYERS
from studies import eie
from studies.plots import LOOK, MARKERS, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHY_RANDOM = """The paper's masks are not published. Ours are random at Table III's densities, which are rounded to
whole per cent of the weights, and random masks are better balanced than trained ones. So a row can be off by
the rounding (see the theoretical times) and by the balance (see the actual ones); neither is adjusted."""
SCHEMA = "openprune.study.eie/1"
FOLDER = "paper_layers"
SHOWN = ("Alex-7", "VGG-6", "NT-We", "NT-Wd", eie.TRAINED, eie.BALANCED, eie.SHUFFLED)


def reproduce(output: Path, seeds: Sequence[int], say: Callable[[str], None] = print) -> tuple[list[str], list[Path]]:
    """Run the study, a minute or two, and write `result.json`, `tables.md` and `plot.svg`.

    Returns:
        The findings, and the files.
    """
    planned = list(eie.cells(seeds))
    rows: list[dict[str, Any]] = []
    drawn: dict[tuple[str, int, int], tuple[np.ndarray, np.ndarray]] = {}
    with progress_bar("Study eie", len(planned), unit="runs") as advance:
        for layer, cell in planned:
            began = time.perf_counter()
            elements = cell["pe_count"] if cell["layer"] == eie.BALANCED else 0  # the others' masks know of none
            key = (cell["layer"], cell["seed"], elements)
            if key not in drawn:
                if len(drawn) > 1:  # masks are large, and used one after the other
                    drawn.clear()
                drawn[key] = layer(np.random.default_rng(cell["seed"]), cell["pe_count"])
            numbers = eie.measure(*drawn[key], eie.machine(cell))
            rows.append({"cell": cell, "numbers": numbers, "time_s": round(time.perf_counter() - began, 4)})
            advance(1)
    facts = {
        "schema": SCHEMA,
        "study": "eie",
        "question": "How well does the EIE simulator reproduce the paper?",
        "task": FOLDER,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": describe_environment(),
        "methodology": METHODOLOGY,
        "measures": False,
        "seeds": list(seeds),
        "cells": rows,
    }
    say(tables(eie.Found(rows)))
    return write(facts, output)


def redraw(output: Path) -> tuple[list[str], list[Path]]:
    """Findings, tables and plot anew, from the numbers of the `result.json` in `output`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of another schema.
    """
    file = output / "eie" / FOLDER / "result.json"
    facts = json.loads(file.read_text())
    if facts.get("schema") != SCHEMA:
        raise ValueError(f"{file} is no result of the study eie in schema {SCHEMA}.")
    return write(facts, output)


def write(facts: dict[str, Any], output: Path) -> tuple[list[str], list[Path]]:
    """Write `result.json`, `tables.md` and `plot.svg`; what is said and drawn follows from the rows in `facts`.

    Returns:
        The findings, and the files.
    """
    found = eie.Found(facts["cells"])
    sentences = eie.findings(found)
    folder = output / "eie" / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "result.json", folder / "tables.md", folder / "plot.svg"]
    write_atomically(files[0], _lines({**facts, "findings": sentences}) + "\n")
    write_atomically(files[1], page(found, sentences))
    write_atomically(files[2], to_svg(plot(found)))
    return sentences, files


def page(found: eie.Found, sentences: Sequence[str]) -> str:
    """The text of `tables.md`."""
    said = "\n".join(f"- {sentence}" for sentence in sentences)
    return f"{tables(found)}\n\n### In words\n\n{WHY_RANDOM}\n\n{said}\n"


def _lines(facts: dict[str, Any]) -> str:
    """JSON with one cell a line."""
    cells = ",\n".join(json.dumps(row, ensure_ascii=False) for row in facts["cells"])
    text = json.dumps({**facts, "cells": []}, indent=1, ensure_ascii=False)
    return text.replace('"cells": []', f'"cells": [\n{cells}\n ]')


def tables(found: eie.Found) -> str:
    """Tables II, IV and V in Markdown, ours beside the paper's."""
    lines = ["### Table II: power of one element, mW, mean over the nine layers (their mean is fitted)", ""]
    lines += _table(("component", "published", "ours", "error"), [_with_error(*row) for row in eie.table_2(found)])
    lines += ["", "### Table IV: time on 64 elements, µs", ""]
    heading = ("layer", "theoretical, published", "ours", "error", "actual, published", "ours", "error")
    lines += _table(
        heading,
        [(name, *_with_error("", *row[:2])[1:], *_with_error("", *row[2:])[1:]) for name, *row in eie.table_4(found)],
    )
    lines += ["", "### Table V: AlexNet's seventh layer (the area is Table II's, not a prediction)", ""]
    lines += _table(("quantity", "published", "ours", "error"), [_with_error(*row) for row in eie.table_5(found)])
    return "\n".join(lines)


def plot(found: eie.Found) -> Figure:
    """Load balance against queue depth, padding against elements, speed against elements."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(16, 4.8), layout="constrained")
        balance, padding, speed = figure.subplots(1, 3)
    colours = mpl.colormaps["tab10"].colors  # type: ignore[attr-defined]
    for name, colour, marker in zip(SHOWN, colours, MARKERS, strict=False):
        look = {"color": colour, "marker": marker, "markersize": 4, "linestyle": "-" if name in LAYERS else "--"}
        depths = [100 * found.mean("load_balance_efficiency", name, fifo_depth=depth) for depth in eie.DEPTHS]
        balance.plot(eie.DEPTHS, depths, label=name, **look)
        padded = [100 * found.mean("padding_fraction", name, pe_count=count) for count in eie.ELEMENTS]
        padding.plot(eie.ELEMENTS, padded, label=name, **look)
        alone = found.mean("cycles", name, pe_count=1)
        faster = [alone / found.mean("cycles", name, pe_count=count) for count in eie.ELEMENTS]
        speed.plot(eie.ELEMENTS, faster, label=name, **look)
    padding.set_ylim(bottom=0)
    speed.plot(eie.ELEMENTS, eie.ELEMENTS, color="#8a8f98", linestyle=":", label="linear")
    speed.set_yscale("log", base=2)
    for axes, x, y in (
        (balance, "queue depth", "load balance, % of the cycles (64 elements)"),
        (padding, "processing elements", "padding, % of the submissions"),
        (speed, "processing elements", "speed-up over one element"),
    ):
        axes.set_xscale("log", base=2)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.grid(color="#dddddd", linewidth=0.6)
    balance.set_ylim(0, 100)
    balance.legend(fontsize=8, frameon=False)
    figure.suptitle("EIE on random masks at Table III's densities; dashed: balanced, trained and shuffled masks")
    return figure


def _with_error(name: str, published: float, ours: float) -> tuple[str, str, str, str]:
    digits = 0 if published >= 1000 else 3
    return name, f"{published:,.{digits}f}", f"{ours:,.{digits}f}", f"{ours / published - 1:+.1%}"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (heading, rule, *rows)]
