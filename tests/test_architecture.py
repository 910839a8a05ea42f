"""The house's rules, held by tests: import directions, file lengths, a light start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("pruning", "hw_targets", "harness", "submissions", "studies")
LONGEST = 300
HEAVY = (
    "torch",
    "onnx",
    "onnxruntime",
    "mlflow",
    "pandas",
    "numpy",
    "hydra",
    "pydantic",
    "plotly",
    "matplotlib",
    "rich",
)


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of `folder`'s pyproject.toml on the packages in `folder`."""
    code = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"
    plain = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=plain, capture_output=True, text=True)


def test_imports_point_one_way() -> None:
    done = lint_imports(REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("pruning", "hw_targets"),
        ("pruning", "harness"),
        ("hw_targets", "pruning"),
        ("hw_targets", "harness"),
        ("harness", "pruning"),
        ("harness", "submissions"),
        ("harness", "studies"),
        ("submissions", "studies"),
        ("studies", "submissions"),
    ],
)
def test_a_wrong_import_is_caught(tmp_path: Path, importer: str, imported: str) -> None:
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / imported / "wanted.py").write_text("VALUE = 1\n")
    assert lint_imports(tmp_path).returncode == 0
    (tmp_path / importer / "sly.py").write_text(f"def f():\n    from {imported} import wanted\n    return wanted\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    assert f"{importer}.sly -> {imported}.wanted" in done.stdout


def test_no_file_is_longer_than_a_reader_bears() -> None:
    files = [file for folder in (*PACKAGES, "tests") for file in (REPOSITORY / folder).rglob("*.py")]
    assert len(files) > 20
    long = {str(f.relative_to(REPOSITORY)): n for f in files if (n := len(f.read_text().splitlines())) > LONGEST}
    assert not long


def test_help_of_no_command_loads_anything_heavy() -> None:
    script = f"""
import contextlib, io, sys
from harness.cli.commands import COMMANDS
from harness.cli.main import main
for words in ([], *([name] for name in COMMANDS)):
    with contextlib.redirect_stdout(io.StringIO()):
        code = main([*words, "--help"])
    loaded = sorted(set(sys.modules) & set({HEAVY!r}))
    if code or loaded:
        sys.exit(f"openprune {{' '.join(words)}} --help: exit code {{code}}, loaded {{loaded}}")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
