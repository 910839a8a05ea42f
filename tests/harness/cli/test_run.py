"""`openprune run`: what is wrong with a configuration is said at once, and nothing is begun."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """The jobs that began to work: none of them does any."""
    jobs: list[dict[str, Any]] = []

    def job(fields: dict[str, Any]) -> dict[str, Any]:
        from harness.cli.requests import make_requests

        make_requests(fields)
        jobs.append(fields)
        return {"ids": [], "fresh": 0}

    monkeypatch.setenv("OPENPRUNE_STORE", str(tmp_path / "runs"))
    monkeypatch.setattr("harness.cli.run.run_job", job)
    return jobs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name the submission to run.*magnitude"),
        (["task=digits_mlp", "seed=1"], "Name the submission to run"),
        (["submission=magnitude", "sparsity=1.5"], "sparsity=1.5 is out of its limits"),
        (["submission=magnitude", "sparsity=nan"], "no finite number"),
        (["-m", "submission=magnitude,snip", "sparsity=0.5,1.5"], "sparsity=1.5 is out of its limits"),
        (["-m", "submission=dense", "seed=0,-1", "hydra/launcher=joblib"], "seed=-1"),
        (["submission=dense", "target.cpu.intra_threads=nan"], "intra_threads must be an integer"),
        (["submission=dense", "target.cpu.optimisation=[all]"], "optimisation must be one of"),
        (["submission=dense", "targets=[eie]", "target.eie.clock_hz=inf"], "clock_hz must be a finite number"),
        (["submission=dense", "targets=[eie]", "target.eie.clock_hz=fast"], "clock_hz must be a finite number"),
        (["submission=dense", "targets=[eie]", "target.eie.pe_count=1.5"], "pe_count must be an integer"),
        (["submission=dense", "seed=1.5"], "seed"),
        (["submission=dense", "repeats=0"], "repeats must be at least 1"),
        (["submission=dense", "--repeat", "-2"], "repeats must be at least 1"),
        (["submission=dense", "effort=long"], "effort"),
        (["submission=dense", "task.recipe.epochs=-3"], "epochs is -3"),
        (["submission=dense", "task.recipe.learning_rate=nan"], "learning_rate is nan"),
        (["submission=dense", "task.recipe.label_smoothing=1.5"], "label_smoothing is 1.5"),
        (["submission=dense", "task.recipe.batch_size=0"], "batch_size is 0"),
        (["submission=dense", "task.budget.compress_s=nan"], "compress_s"),
        (["submission=dense", "task.budget.onnx_bytes=0"], "onnx_bytes"),
        (["submission=dense", "task.quality_ratio=nan"], "quality_ratio"),
        (["submission=dense", "task.input.classes=0"], "classes=0"),
    ],
)
def test_nonsense_ends_with_2_before_any_work(arguments, message, begun, capsys):
    assert main(["run", *arguments]) == 2
    assert re.search(message, capsys.readouterr().err, re.DOTALL) and not begun


def test_a_folder_in_quotes_finds_its_parameters(begun, tmp_path):
    folder = tmp_path / "my (new) entry" / "mine"
    folder.mkdir(parents=True)
    (folder / "submission.py").write_text("class Submission: ...\n")
    (folder / "config.yaml").write_text("sparsity: 0.5\n")
    main(["run", f'submission_dir="{folder}"', "sparsity=0.25"])
    main(["run", "submission=mine", f"submission_dir='{folder.parent}'", "sparsity=0.75"])
    assert [job["params"] for job in begun] == [{"sparsity": 0.25}, {"sparsity": 0.75}]


def test_a_task_has_a_default_and_a_sweep_begins_when_all_of_it_makes_sense(begun):
    main(["run", "-m", "submission=magnitude,snip", "sparsity=0.5,0.25"])
    assert len(begun) == 4 and {job["task"]["name"] for job in begun} == {"cifar10_resnet20"}
