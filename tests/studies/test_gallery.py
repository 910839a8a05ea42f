"""The page of all results says what the results say."""

import json
import shutil
from pathlib import Path

import pytest

from studies import MACHINES, eie, eie_report, find_study
from studies.gallery import PAGE, SHOWN, gallery, write_gallery
from studies.record import result_of

SHIPPED = Path(__file__).parents[2] / "results" / "studies"


def test_the_shipped_page_is_that_of_the_shipped_results():
    assert (SHIPPED / PAGE).read_text() == gallery(SHIPPED), "make it anew: openprune study --redraw"


RECORDS = sorted(SHIPPED.glob("*/*/result.json"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: "-".join(record.parts[-3:-1]))
def test_the_shipped_findings_follow_from_the_shipped_numbers_by_the_rules_of_today(record):
    facts = json.loads(record.read_text())
    name, task = record.parts[-3:-1]
    if name in MACHINES:
        found = eie.Found(facts["cells"])
        findings = eie.findings(found)
        assert record.with_name("tables.md").read_text() == eie_report.page(found, findings)
    else:
        assert (facts["study"], facts["task"]) == (name, task)
        findings = find_study(name).findings(result_of(facts))
    assert facts["findings"] == findings, "make them anew: openprune study --redraw"


def test_a_result_has_its_plot_its_settings_and_all_its_findings(tmp_path):
    result = tmp_path / "bits" / "mnist_lenet300" / "result.json"
    shutil.copytree(SHIPPED / "bits" / "mnist_lenet300", result.parent)
    page = write_gallery(tmp_path).read_text()
    facts = json.loads(result.read_text())
    assert "![How few bits keep the accuracy?](bits/mnist_lenet300/plot.svg)" in page
    assert "3 seeds; bits 8, 5, 4, 3, 2; pruned 0.0, 0.9;" in page
    assert all(f"- {finding}" in page for finding in facts["findings"])
    assert f"{len(facts['findings']) - SHOWN} more" in page
    assert "not all cells" not in page

    result.write_text(json.dumps({**facts, "complete": False, "findings": ["It is so."]}))
    page = gallery(tmp_path)
    assert "not all cells are run" in page and "- It is so." in page and "more" not in page.split("It is so.")[1]


def test_a_damaged_result_is_named_and_the_others_are_shown(tmp_path):
    for task, text in (("one", "{"), ("two", json.dumps({"seeds": [0], "findings": [], "question": "Why?"}))):
        folder = tmp_path / "lottery" / task
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(text)
    page = gallery(tmp_path)
    assert "lottery/one/result.json is damaged." in page
    assert "![Why?](lottery/two/plot.svg)" in page and "one seed." in page


def test_speeds_of_an_earlier_methodology_are_marked(tmp_path):
    old = SHIPPED / "criteria" / "mnist_lenet300" / "result.json"
    facts = json.loads(old.read_text())
    assert "Not comparable" not in gallery(SHIPPED).split("## criteria")[1].split("## ")[0]
    new = tmp_path / "criteria" / "mnist_lenet300" / "result.json"
    new.parent.mkdir(parents=True)
    new.write_text(json.dumps({**facts, "methodology": 1}))
    assert "**Not comparable with newer figures:** made with the old export" in gallery(tmp_path)


def marked(tmp_path, study, **changes):
    """The page of a shipped result of `study` with `changes` (None: without that), as if it were of another time."""
    facts = json.loads((SHIPPED / study / "mnist_lenet300" / "result.json").read_text()) | changes
    file = tmp_path / study / "mnist_lenet300" / "result.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({name: value for name, value in facts.items() if value is not None}))
    return "Not comparable" in gallery(tmp_path)


def test_a_result_that_lacks_its_methodology_is_of_before_if_it_times_something(tmp_path):
    assert not marked(tmp_path, "speed") and not marked(tmp_path, "criteria")
    assert marked(tmp_path, "speed", methodology=None)
    assert not marked(tmp_path, "speed") and not marked(tmp_path, "criteria", methodology=None)
    assert not marked(tmp_path, "criteria", methodology=1, measures=False)
    assert marked(tmp_path, "criteria", methodology=1, measures=True)
