from __future__ import annotations

import io
import sys

import pytest

from harness.cli.output import make_table, show_table

LONG = "a sentence that is far longer than any terminal is wide " * 8


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_pipe_a_row_is_one_line_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(make_table(("name", "text"), [("a[bold]b", LONG), ("c", None)], title="A title"))
    assert capsys.readouterr().out.splitlines() == [
        "A title",
        "name      text",
        f"a[bold]b  {LONG.rstrip()}",
        "c",
    ]


def test_on_a_terminal_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    show_table(make_table(("name", "text"), [("a", LONG)]))
    shown = terminal.getvalue()
    assert max(map(len, shown.splitlines())) < 200
    assert shown.count("sentence") == LONG.count("sentence")
