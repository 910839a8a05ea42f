from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import complete
from harness.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[3]


def completions(line: str, tmp_path: Path) -> list[str]:
    """What the shell would offer after `line`."""
    answer = tmp_path / "answer"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    command = [sys.executable, "-m", "harness.cli.main"]
    subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **asked}, check=True, capture_output=True)
    return sorted(word.strip() for word in answer.read_text().split("\n"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("openprune comp", ["compare", "completion"]),
        ("openprune tasks show ci", ["cifar10_mobilenetv2", "cifar10_resnet20", "cifar10_vgg"]),
        ("openprune results --sub", ["--submission"]),
        ("openprune completion z", ["zsh"]),
    ],
)
def test_the_shell_is_answered(line: str, expected: list[str], tmp_path: Path) -> None:
    assert completions(line, tmp_path) == expected


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("ta", ["task=", "targets=", "target."]),
        ("task=", ["task=lstm", "task=resnet20"]),
        ("submission=dense,ma", ["submission=dense,magnitude"]),
        ("submission=dense,", ["submission=dense,magnitude"]),
        ("targets=[c", ["targets=[cpu"]),
        ("targets=[cpu,e", ["targets=[cpu,eie"]),
        ("effort=q", ["effort=quick"]),
        ("seed=", []),
        ("unknown=", []),
    ],
)
def test_overrides_are_completed_name_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, expected: list[str]
) -> None:
    for file in (
        "harness/conf/task/resnet20.yaml",
        "harness/conf/task/lstm.yaml",
        "submissions/dense/submission.py",
        "submissions/magnitude/submission.py",
        "submissions/notes/README.md",
        "hw_targets/cpu/__init__.py",
        "hw_targets/eie/__init__.py",
        "hw_targets/formats/__init__.py",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.setattr(complete, "PACKAGES", tmp_path)
    assert complete.override_completer(prefix) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "openprune" in script
    assert "_ARGCOMPLETE" in script
