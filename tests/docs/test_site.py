"""The documents: tables are made of the code, examples run, commands and links are there."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

import pruning
from harness.cli.commands import COMMANDS, build_parser
from harness.entries.loading import submission_names
from harness.entries.rules import RULES
from harness.tasks import load_task, task_names
from harness.views.formatting import value_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
TWO_SCREENS = 90  # lines


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules["tables"] = module
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= TWO_SCREENS


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert links or page.name == "CONTRIBUTING.md"
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_task_has_a_row_with_its_figures(tables: ModuleType) -> None:
    rows = {cells[0].strip("` "): cells for cells in _rows(tables.tasks())}
    assert sorted(rows) == task_names()
    for name, cells in rows.items():
        task = load_task(name)
        assert cells[2] == f"{task.reference.value:.2%}".replace("%", " %")
        assert cells[3] == f"{task.quality_target:.2%}".replace("%", " %")
        assert cells[4] == value_of("parameters", task.parameters) and cells[5] == value_of("macs_dense", task.macs)


def test_every_public_name_of_pruning_has_a_row_and_a_sentence(tables: ModuleType) -> None:
    rows = [cells for _, table in tables.techniques() for cells in _rows(table)]
    named = {re.match(r"\[`(\w+)`\]", cells[0]).group(1): cells for cells in rows}  # type: ignore[union-attr]
    assert sorted(named) == sorted(pruning.__all__)
    assert [name for name, cells in named.items() if len(cells[1]) < 10] == []
    assert named["Taylor"][2].count("arxiv.org/abs/1611.06440") == 1 and named["Taylor"][3] == "`criterion=taylor`"
    assert "[taylor](../submissions/taylor.md)" in named["Taylor"][4]


@pytest.mark.parametrize(
    "module",
    ["harness.contract", "hw_targets.target", "hw_targets.registry", "harness.tasks.task", "harness.store.records"],
)
def test_what_the_reference_shows_is_documented(module: str) -> None:
    found = importlib.import_module(module)
    public = [
        (name, member)
        for name, member in inspect.getmembers(found, lambda each: inspect.isclass(each) or inspect.isfunction(each))
        if member.__module__ == module and not name.startswith("_")
    ]
    assert public and [name for name, member in public if not (member.__doc__ or "").strip()] == []


def test_every_submission_has_a_row(tables: ModuleType) -> None:
    assert sorted(re.findall(r"^\| \[(\w+)\]", tables.submissions(), re.MULTILINE)) == submission_names()


def test_every_rule_that_can_be_broken_is_explained_and_no_other() -> None:
    code = "".join(file.read_text() for file in (ROOT / "harness").rglob("*.py") if file.name != "rules.py")
    raised = set(re.findall(r'RuleBroken\(\s*"(\w+)"', code)) | set(re.findall(r'rule="(\w+)"', code))
    raised |= set(re.findall(r'Failure\(\s*"(\w+)"', code))
    assert raised - {"harness"} == set(RULES)


def test_commands_in_the_documents_are_commands() -> None:
    told = 0
    for page in PAGES:
        for block in re.findall(r"^```(?:text|sh)?\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True) if "openprune " in line and "…" not in line else []
                if not words or not words[0].endswith("openprune") or not words[1:] or words[1].isupper():
                    continue
                assert words[1] in COMMANDS, (page.name, line)
                _, unknown = build_parser(words[1]).parse_known_args([word for word in words[1:] if word != ">"])
                assert not [word for word in unknown if word.startswith("-")], (page.name, line)
                told += 1
    assert told > 20


def test_the_example_in_plain_python_runs() -> None:
    command = [sys.executable, str(ROOT / "docs/examples/plain_python.py")]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Conv2d(16, 3, 3, 3)" in done.stdout and "output" in done.stdout


@pytest.mark.slow
def test_the_examples_of_a_submission_a_criterion_and_a_target_run(tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": str(ROOT),
        "OPENPRUNE_STORE": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "HOME": str(Path.home()),
    }
    target = "targets=[docs/examples/my_target.py]"
    for folder in ("my_submission", "my_criterion"):
        command = [sys.executable, "-m", "harness.cli.main", "run", "task=digits_mlp", target]
        command += [f"submission_dir=docs/examples/{folder}", "target.my_target.bytes_per_s=2e9"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr
        assert folder in done.stdout and "my_target" in done.stdout and "1.00×" in done.stdout, done.stdout


def _rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without its heading."""
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
