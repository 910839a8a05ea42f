"""A study is killed, damaged, shared and finished: no cell is run twice, and none is lost."""

import errno
import json
import multiprocessing
import shutil
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.store.methodology import METHODOLOGY
from harness.store.store import Store
from harness.training.loop import DivergedError
from harness.util.environment import describe_environment
from hw_targets.target import TargetError
from studies import find_study
from studies.cells import Cells
from studies.lab import Lab
from studies.progress import duration
from studies.record import SCHEMA, redraw
from studies.runner import run_study
from studies.study import Plan

SHIPPED = Path(__file__).parents[2] / "results" / "studies"
CELLS = [{"ratio": ratio, "seed": 0, "epochs": 1} for ratio in (0.5, 0.8, 0.9)]


class Killed(BaseException):
    pass


@pytest.fixture
def study(tiny):
    """The lottery study, with three cells that cost nothing and are counted."""
    runs = []

    def run_cell(lab, cell):
        runs.append(cell["ratio"])
        return {"kept": 1.0, **{f"{kind} test": 1 - cell["ratio"] / 2 for kind in ("ticket", "redrawn", "random")}}

    made, _ = tiny("lottery")
    made = replace(
        made, plan=lambda *_: Plan(CELLS, {"heads": "no attention"}), epochs=lambda _: 1.0, run_cell=run_cell
    )
    return made, runs


def run(study, lab, output, **options):
    said = []
    store = Store(output / "store")
    given = {"settings": {"epochs": 1}, "seeds": [0], "store": store, "output": output, "say": said.append}
    outcome = run_study(study, lab, **(given | options))
    return outcome, "\n".join(said)


def killed_at(ratio, study):
    def run_cell(lab, cell):
        if cell["ratio"] == ratio:
            raise Killed
        return study.run_cell(lab, cell)

    return replace(study, run_cell=run_cell)


def test_a_killed_study_goes_on_where_it_was(study, lab, tmp_path):
    study, runs = study
    with pytest.raises(Killed):
        run(killed_at(0.9, study), lab, tmp_path)
    partly = json.loads((tmp_path / "lottery" / "digits_mlp" / "result.json").read_text())
    assert not partly["complete"]
    assert [row["cell"]["ratio"] for row in partly["cells"]] == [0.5, 0.8]

    outcome, said = run(study, lab, tmp_path)
    assert runs == [0.5, 0.8, 0.9]
    assert (outcome.done, outcome.missing) == (1, 0)
    assert "3 cells, 2 done before" in said

    finished = outcome.files[0].read_text()
    again, said = run(study, lab, tmp_path)
    assert runs == [0.5, 0.8, 0.9]
    assert again.done == 0 and "finished" in said
    assert outcome.files[0].read_text() == finished


def test_the_result_says_what_it_is_of(study, lab, tmp_path):
    outcome, _ = run(study[0], lab, tmp_path)
    record, picture = outcome.files
    facts = json.loads(record.read_text())
    assert facts["schema"] == SCHEMA
    assert facts["complete"] and facts["left_out"] == {"heads": "no attention"}
    assert facts["reference"]["test"] == pytest.approx(lab.task.reference.value, abs=0.01)
    assert facts["findings"] == list(outcome.findings) != []
    assert "torch" in facts["environment"]["versions"]
    assert facts["environments"] == [{"cells": 3, **describe_environment()}]
    assert facts["methodology"] == METHODOLOGY and facts["measures"] is False
    assert [row["numbers"]["ticket test"] for row in facts["cells"]] == [0.75, 0.6, 0.55]
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_a_damaged_cell_is_run_again_with_a_word(study, lab, tmp_path):
    study, runs = study
    run(study, lab, tmp_path)
    cells = Cells.of(study, lab, Store(tmp_path / "store"))
    cut, swapped, endless = (cells.path(cell) for cell in CELLS)
    cut.write_text(cut.read_text()[:20])
    swapped.write_text(endless.read_text())
    endless.write_text(endless.read_text().replace("0.55", "NaN"))
    _, said = run(study, lab, tmp_path)
    assert runs == [0.5, 0.8, 0.9] * 2
    assert said.count("is damaged") == 3
    assert all(str(path) in said for path in (cut, swapped, endless))
    _, said = run(study, lab, tmp_path)
    assert "damaged" not in said and len(runs) == 6


def test_no_more_cells_are_run_than_asked_for_and_an_estimate_comes_first(study, lab, tmp_path):
    study, runs = study
    outcome, said = run(study, lab, tmp_path, limit=0)
    assert runs == [] and outcome.missing == 3 and outcome.files == []
    assert "To do: about" in said
    outcome, _ = run(study, lab, tmp_path, limit=2)
    assert runs == [0.5, 0.8] and outcome.missing == 1


def test_a_training_that_diverges_is_a_result_and_stops_nothing(study, lab, tmp_path):
    study, runs = study

    def run_cell(lab, cell):
        if cell["ratio"] == 0.5:
            runs.append("diverged")
            raise DivergedError("the training loss is nan")
        return study.run_cell(lab, cell)

    failing = replace(study, run_cell=run_cell)
    outcome, said = run(failing, lab, tmp_path)
    facts = json.loads(outcome.files[0].read_text())
    assert facts["complete"] and len(facts["cells"]) == 2
    assert list(facts["failed"].values()) == ["the training loss is nan"]
    assert "failed" in said
    run(failing, lab, tmp_path)
    assert runs.count("diverged") == 1


def test_what_the_machine_did_not_let_be_measured_is_left_for_the_next_run(study, lab, tmp_path):
    study, runs = study

    def busy(lab, cell):
        if cell["ratio"] == 0.5:
            raise TargetError("the machine was busy for 60 s")
        return study.run_cell(lab, cell)

    outcome, said = run(replace(study, run_cell=busy), lab, tmp_path)
    facts = json.loads(outcome.files[0].read_text())
    assert outcome.missing == 1 and not facts["complete"] and not facts["failed"] and len(facts["cells"]) == 2
    assert "left for the next run: the machine was busy for 60 s" in said
    outcome, _ = run(study, lab, tmp_path)
    assert outcome.missing == 0 and runs[-1] == 0.5 and len(runs) == 3


def test_a_cell_has_the_key_of_its_parameters_task_and_sources(study, lab, tmp_path):
    cells = Cells.of(study[0], lab, Store(tmp_path))
    other = replace(cells, basis={**cells.basis, "reference": "other"})
    paths = [cells.path(cell) for cell in CELLS] + [other.path(CELLS[0])]
    assert len(set(paths)) == 4
    assert cells.path(dict(reversed(CELLS[0].items()))) == cells.path(CELLS[0])


def test_findings_and_plot_are_made_anew_from_the_numbers(study, lab, tmp_path):
    study, runs = study
    folder = tmp_path / "lottery" / "digits_mlp"
    run(study, lab, tmp_path)
    picture = (folder / "plot.svg").read_text()
    facts = json.loads((folder / "result.json").read_text())
    for row in facts["cells"]:
        row["numbers"]["ticket test"] = 0.99
    (folder / "result.json").write_text(json.dumps(facts))
    findings, _ = redraw(study, folder)
    assert len(runs) == 3
    assert findings[0].startswith("winning ticket is above") and "99.00 %" in findings[0]
    assert (folder / "plot.svg").read_text() != picture
    (folder / "result.json").write_text(json.dumps({**facts, "schema": "another"}))
    with pytest.raises(ValueError, match="no result of the study lottery"):
        redraw(study, folder)


def test_a_result_of_schema_1_is_drawn_anew_as_it_is(tmp_path):
    folder = tmp_path / "bits" / "mnist_lenet300"
    shutil.copytree(SHIPPED / "bits" / "mnist_lenet300", folder)
    before = (folder / "result.json").read_text()
    assert json.loads(before)["schema"] == "openprune.study/1"
    redraw(find_study("bits"), folder)
    assert (folder / "result.json").read_text() == before


def test_a_cell_that_another_process_is_at_comes_last(study, lab, tmp_path):
    study, runs = study
    store = Store(tmp_path / "store")
    first = f"cell-{Cells.of(study, lab, store).key(CELLS[0])}"
    with ExitStack() as theirs:
        theirs.enter_context(store.locked(first))

        def run_cell(lab, cell):
            if cell["ratio"] == 0.9:
                theirs.close()  # the other process is killed
            return study.run_cell(lab, cell)

        outcome, _ = run(replace(study, run_cell=run_cell), lab, tmp_path)
    assert runs == [0.8, 0.9, 0.5] and outcome.missing == 0
    facts = json.loads(outcome.files[0].read_text())
    assert [row["cell"]["ratio"] for row in facts["cells"]] == [0.5, 0.8, 0.9]


def test_two_processes_share_the_cells_of_a_study(study, lab, tmp_path, monkeypatch):
    reference = {"reference": lab.reference_sha256}  # known beforehand: torch's threads do not survive a fork
    Cells.of(study[0], lab, Store(tmp_path / "store")).run(reference, lambda: {"validation": 0.9, "test": 0.9})
    monkeypatch.setattr(Lab, "seconds_per_epoch", lambda self: 1.0)
    log = tmp_path / "log"
    log.touch()
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=share, args=(study[0], lab, tmp_path, log, name)) for name in "ab"]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    ran = [line.split() for line in log.read_text().splitlines()]
    assert sorted(ratio for _, ratio in ran) == ["0.5", "0.8", "0.9"]
    assert {name for name, _ in ran} == {"a", "b"}
    for name in "ab":
        facts = json.loads((tmp_path / name / "lottery" / "digits_mlp" / "result.json").read_text())
        assert facts["complete"] and len(facts["cells"]) == 3


def share(study, lab, folder, log, name):
    def run_cell(lab, cell):
        with log.open("a") as out:
            out.write(f"{name} {cell['ratio']}\n")
        time.sleep(1)
        return study.run_cell(lab, cell)

    (folder / name).mkdir()
    run(replace(study, run_cell=run_cell), lab, folder / name, store=Store(folder / "store"))


def test_a_full_disk_loses_no_cell_that_is_done(study, lab, tmp_path, monkeypatch):
    study, runs = study

    def full(lab, cell):
        numbers = study.run_cell(lab, cell)
        if cell["ratio"] == 0.9:
            monkeypatch.setattr("harness.util.files.os.fsync", refuse)
        return numbers

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        run(replace(study, run_cell=full), lab, tmp_path)
    monkeypatch.undo()
    outcome, said = run(study, lab, tmp_path)
    assert "3 cells, 2 done before" in said and runs == [0.5, 0.8, 0.9, 0.9]
    assert json.loads(outcome.files[0].read_text())["complete"]


def test_numbers_that_are_not_finite_are_a_failure_by_name(study, lab, tmp_path):
    study, _ = study
    endless = replace(study, run_cell=lambda lab, cell: {**study.run_cell(lab, cell), "ticket test": float("nan")})
    outcome, said = run(endless, lab, tmp_path)
    assert said.count("failed: not finite: ticket test") == 3 and outcome.missing == 0


@pytest.mark.parametrize(("seconds", "said"), [(4.4, "4 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations(seconds, said):
    assert duration(seconds) == said
