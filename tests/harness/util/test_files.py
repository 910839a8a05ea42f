"""A file is there whole or as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.util.files import write_atomically, written_aside


def test_a_file_that_could_not_be_written_whole_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "inside" / "weights.bin"
    with written_aside(file) as aside:
        aside.write_text("first")
    with pytest.raises(OSError, match="full"), written_aside(file) as aside:
        aside.write_text("sec")
        raise OSError("the disk is full")
    assert file.read_text() == "first" and list(file.parent.iterdir()) == [file]


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    (tmp_path / ".weights.bin.part").write_text("killed")
    with written_aside(file) as aside:
        aside.write_text("whole")
    assert file.read_text() == "whole" and list(tmp_path.iterdir()) == [file]


def test_several_may_write_one_file(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    with written_aside(file, several=True) as first:
        write_atomically(file, "second")
        first.write_text("first")
    assert file.read_text() == "first" and list(tmp_path.iterdir()) == [file]
