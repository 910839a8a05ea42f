"""Output for people on a terminal, and for programs everywhere else.

On a terminal, tables have colours and fit the window. In a pipe or a file they have neither: one
line a row, columns apart by two spaces or more, nothing cut and nothing wrapped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

UNBOUNDED = 100_000


def make_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> Table:
    """A table of plain values; brackets in them are text, not markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return table


def is_terminal() -> bool:
    """Whether standard output is read by a person, now."""
    return sys.stdout.isatty()


def show_table(table: Table, notes: Sequence[str] = ()) -> None:
    """Print `table` to standard output, as the place asks for it, and `notes` under it, a line each."""
    from rich.console import Console
    from rich.text import Text

    if is_terminal():
        console = Console(file=sys.stdout)
        console.print(table)
        for line in notes:
            console.print(Text(line, style="dim"))
        return
    table.box = None
    table.padding = (0, 2, 0, 0)
    table.pad_edge = False
    plain = Console(file=sys.stdout, width=UNBOUNDED, color_system=None, force_terminal=False, highlight=False)
    with plain.capture() as captured:
        plain.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in [*captured.get().splitlines(), *notes]))


def show_json(value: Any) -> None:
    """Print `value` as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def note(message: str) -> None:
    """A remark beside the output: to standard error, so that pipes stay clean."""
    print(message, file=sys.stderr)
