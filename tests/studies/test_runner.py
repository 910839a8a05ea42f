"""A study is killed, damaged, shared and finished: no cell is run twice, and none is lost."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from harness.training.loop import DivergedError
from hw_targets.target import TargetError
from studies.notebook import Notebook
from studies.record import SCHEMA, redraw
from studies.runner import duration, run_study
from studies.study import Plan

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
    outcome = run_study(study, lab, settings={"epochs": 1}, seeds=[0], output=output, say=said.append, **options)
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
    assert [row["numbers"]["ticket test"] for row in facts["cells"]] == [0.75, 0.6, 0.55]
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_a_damaged_cell_is_run_again_with_a_word(study, lab, tmp_path):
    study, runs = study
    run(study, lab, tmp_path)
    notebook = Notebook.of(study, lab, tmp_path)
    cut, swapped, endless = (notebook.path(cell) for cell in CELLS)
    cut.write_text(cut.read_text()[:20])
    swapped.write_text(endless.read_text())
    endless.write_text(endless.read_text().replace("0.55", "NaN"))
    _, said = run(study, lab, tmp_path)
    assert runs == [0.5, 0.8, 0.9] * 2
    assert said.count("is damaged") == 3
    assert all(path.name in said for path in (cut, swapped, endless))


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
    notebook = Notebook.of(study[0], lab, tmp_path)
    other = replace(notebook, basis={**notebook.basis, "reference": "other"})
    paths = [notebook.path(cell) for cell in CELLS] + [other.path(CELLS[0])]
    assert len(set(paths)) == 4
    assert notebook.path(dict(reversed(CELLS[0].items()))) == notebook.path(CELLS[0])


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


@pytest.mark.parametrize(("seconds", "said"), [(4.4, "4 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations(seconds, said):
    assert duration(seconds) == said
