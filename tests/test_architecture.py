"""The house's rules, held by tests: import directions, file lengths, a light start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

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


ROOMS = {"pruning": "mask", "hw_targets": "target", "harness": "contract", "submissions": "one", "studies": "two"}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Our packages, empty, under our rules."""
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        write(tmp_path, f"{package}/__init__.py", "")
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


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
def test_a_wrong_import_is_caught(house: Path, importer: str, imported: str) -> None:
    write(house, f"{imported}/{ROOMS[imported]}.py", "VALUE = 1\n")
    assert lint_imports(house).returncode == 0
    inside = f"{importer}/{ROOMS[importer]}.py"
    write(house, inside, f"def f():\n    from {imported} import {ROOMS[imported]}\n    return {ROOMS[imported]}\n")
    done = lint_imports(house)
    assert done.returncode != 0
    assert f"{importer}.{ROOMS[importer]} -> {imported}.{ROOMS[imported]}" in done.stdout


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"harness/util/names.py": "def f():\n    import harness.cli.main\n", "harness/cli/main.py": ""}, "util.names"),
        ({"hw_targets/cpu/a.py": "import hw_targets.eie.b", "hw_targets/eie/b.py": ""}, "hw_targets.cpu.a"),
        ({"pruning/ratios/a.py": "import pruning.choices", "pruning/choices.py": ""}, "pruning.ratios.a"),
        ({"harness/run/a.py": "import harness.run.b", "harness/run/b.py": "import harness.run.a"}, "No circle"),
        ({"harness/attic/a.py": ""}, "attic"),  # a room that was given no floor
    ],
)
def test_so_is_one_inside_a_package(house: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        write(house, f"{Path(name).parent}/__init__.py", "")
        write(house, name, text)
    done = lint_imports(house)
    assert done.returncode != 0 and said in done.stdout + done.stderr


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


def test_no_module_is_hidden_by_a_function_of_its_name() -> None:
    hidden = []
    for package in ("pruning", "hw_targets", "harness", "studies"):
        for found in walk_packages(import_module(package).__path__, f"{package}."):
            module = import_module(found.name)
            parent, _, name = found.name.rpartition(".")
            if getattr(sys.modules[parent], name) is not module:
                hidden.append(found.name)
    assert hidden == []
