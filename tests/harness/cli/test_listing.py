from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from harness.cli import machine
from harness.cli.main import main
from harness.cli.submissions import summary
from harness.entries.loading import submission_names

Captured = pytest.CaptureFixture[str]


def test_tasks_are_listed_and_shown_in_words_and_as_json(capsys: Captured) -> None:
    assert main(["tasks"]) == 0
    assert "cifar10_resnet20" in capsys.readouterr().out
    assert main(["tasks", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert main(["tasks", "show", "cifar10_resnet20", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["quality_target"] == pytest.approx(0.99 * shown["reference"]["value"])
    assert listed["cifar10_resnet20"]["reference"] == shown["reference"]["value"]
    assert main(["tasks", "show", "cifar10_resnet20"]) == 0
    words = capsys.readouterr().out
    for expected in ("float32 [n, 3, 32, 32] → [n, 10]", "100 epochs", "32 MiB", "He, X. Zhang"):
        assert expected in words


def test_targets_say_why_they_are_not_available(targets: None, capsys: Captured) -> None:
    assert main(["targets", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"name": "cpu", "available": True, "detail": "Demo CPU"},
        {"name": "gpu_2to4", "available": False, "detail": "no CUDA device"},
    ]
    assert main(["targets"]) == 0
    assert "no CUDA device" in capsys.readouterr().out


def test_submissions_tell_their_first_sentence_and_are_not_run(tmp_path: Path, capsys: Captured) -> None:
    source = tmp_path / "submission.py"
    source.write_text('"""Removes nothing.\n\nMore."""\nraise SystemExit("must not run")\n')
    assert summary(source) == "Removes nothing."
    source.write_text("def f(:\n")
    assert "line 1" in summary(source)
    assert main(["submissions", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == submission_names()


def test_data_sets_are_listed_with_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("OPENPRUNE_DATA", str(tmp_path))
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert "openprune data fetch cifar10" in out
    assert str(tmp_path / "cifar10") in out
    assert main(["data", "list", "cifar10"]) == 2


def test_the_doctor_reports_every_area_and_never_fails(
    targets: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OPENPRUNE_STORE", str(tmp_path / "file" / "runs"))
    monkeypatch.setenv("OPENPRUNE_DATA", str(tmp_path / "data"))
    assert main(["doctor", "--json"]) == 0
    facts: dict[tuple[str, str], Any] = {(f["area"], f["name"]): f for f in json.loads(capsys.readouterr().out)}
    assert {area for area, _ in facts} == {"python", "hardware", "targets", "store", "data", "programs"}
    assert not facts["store", "store"]["ok"]
    assert facts["data", "folder"]["ok"]
    assert facts["targets", "cpu"]["detail"] == "Demo CPU"
    assert not facts["targets", "gpu_2to4"]["ok"]
    assert not facts["data", "cifar10"]["ok"]
    assert main(["doctor"]) == 0
    assert "is not a folder" in capsys.readouterr().out


def test_load_and_energy_counters_are_judged(tmp_path: Path) -> None:
    calm, busy = (
        next(fact for fact in machine.hardware_facts(lambda value=value: (value, 0, 0)) if fact.name == "load")
        for value in (0.0, 1e6)
    )
    assert calm.ok
    assert not busy.ok
    assert "noisy" in busy.detail
    assert not machine.energy_fact(tmp_path).ok
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    counter.parent.mkdir()
    counter.write_text("12345\n")
    assert machine.energy_fact(tmp_path).detail == "1 RAPL counters"


def test_the_ui_shows_all_records_and_refuses_a_port_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    import subprocess

    mirrored: list[Path] = []
    monkeypatch.setattr("harness.views.mirror.ui_command", lambda root, port: ["mlflow-ui", str(root), str(port)])
    monkeypatch.setattr("harness.views.mirror.mirror", lambda records, root: mirrored.append(root))
    called: list[list[str]] = []
    monkeypatch.setattr(subprocess, "call", lambda command, env: called.append(command) or 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["ui", "--port", str(port)]) == 2
    assert "cannot be used" in capsys.readouterr().err
    assert main(["ui", "--port", str(port), "--store", str(tmp_path)]) == 0
    assert mirrored == [tmp_path]
    assert called == [["mlflow-ui", str(tmp_path), str(port)]]
    assert main(["ui", "--port", "70000"]) == 2
