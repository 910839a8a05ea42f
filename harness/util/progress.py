"""A progress bar on a terminal; a line now and then where the output is a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PLAIN_INTERVAL_S = 15.0


@contextmanager
def progress_bar(label: str, total: int | None, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Show progress towards `total` (None: unknown); yields a function that takes the step made.

    Goes to standard error, so that standard output stays fit for pipes. `unit="bytes"` prints MB.
    """
    if sys.stderr.isatty():
        with _rich_bar(label, total, unit) as advance:
            yield advance
    else:
        yield _plain_bar(label, total, unit)


@contextmanager
def _rich_bar(label: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda step: progress.update(task, advance=step)


def _plain_bar(label: str, total: int | None, unit: str) -> Callable[[int], None]:
    scale, name = (1e6, "MB") if unit == "bytes" else (1, unit)
    state = {"done": 0, "printed": time.monotonic()}
    print(f"{label} …", file=sys.stderr, flush=True)

    def advance(step: int) -> None:
        state["done"] += step
        if time.monotonic() - state["printed"] >= PLAIN_INTERVAL_S:
            state["printed"] = time.monotonic()
            of = f" of {total / scale:.0f}" if total else ""
            print(f"{label}: {state['done'] / scale:.0f}{of} {name}".rstrip(), file=sys.stderr, flush=True)

    return advance
