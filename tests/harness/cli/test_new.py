from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.cli.new import create
from harness.util.names import UsageError

Captured = pytest.CaptureFixture[str]


def test_a_new_entry_is_the_template_and_can_be_found(tmp_path: Path, capsys: Captured) -> None:
    from harness.entries.loading import find_submission

    assert main(["new", "my_pruner", "--into", str(tmp_path / "mine")]) == 0
    out = capsys.readouterr().out
    assert f"submission=my_pruner submission_dir={tmp_path / 'mine'} 'targets=[cpu]'" in out
    folder = find_submission("my_pruner", tmp_path / "mine")
    assert {"submission.py", "config.yaml", "README.md"} <= {path.name for path in folder.iterdir()}
    tree = ast.parse((folder / "submission.py").read_text())
    assert "Submission" in [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


def test_nothing_is_overwritten(tmp_path: Path, capsys: Captured) -> None:
    assert main(["new", "mine", "--into", str(tmp_path)]) == 0
    (tmp_path / "mine" / "submission.py").write_text("# hours of work\n")
    assert main(["new", "mine", "--into", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "mine" / "submission.py").read_text() == "# hours of work\n"
    assert main(["new", "magnitude", "--into", str(tmp_path)]) == 2


@pytest.mark.parametrize("name", ["", "2fast", "a-b", "a b", "../up", "class", "a/b", "ünder", "_hidden", "a.b"])
def test_a_name_that_is_no_identifier_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name for one"):
        create(name, tmp_path, tmp_path / "into")
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "template").mkdir()
    (tmp_path / "template" / "submission.py").touch()

    def fail(*unused: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="No space left"):
        create("mine", tmp_path / "template", tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []
