"""The EIE study on two of the paper's layers and few machines: its files, its errors, its words."""

import json

import pytest

from harness.cli.main import main
from hw_targets.eie.paper import LAYERS
from studies import eie, eie_report


@pytest.fixture
def small(monkeypatch):
    """NT-We and Alex-7, queues of 1, 8 and 256, 1, 4, 64 and 256 elements."""
    few = {name: LAYERS[name] for name in ("NT-We", "Alex-7")}
    for module in (eie, eie_report):
        monkeypatch.setattr(module, "LAYERS", few)
    monkeypatch.setattr(eie, "DEPTHS", (1, 8, 256))
    monkeypatch.setattr(eie, "ELEMENTS", (1, 4, 64, 256))
    monkeypatch.setattr(eie_report, "SHOWN", ("NT-We", eie.TRAINED))


def test_the_study_leaves_numbers_tables_and_a_plot(small, tmp_path, capsys):
    assert main(["study", "eie", "seeds=[0]", "--output", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    folder = tmp_path / "eie" / "paper_layers"
    facts = json.loads((folder / "result.json").read_text())
    assert len(facts["cells"]) == 5 * (3 + 3)  # three queues, and three more machines, for each of five masks
    by_hand = next(
        row["numbers"]["cycles"]
        for row in facts["cells"]
        if row["cell"] == {"layer": "NT-We", "seed": 0, "fifo_depth": 8, "pe_count": 64}
    )
    error = by_hand / 800 / LAYERS["NT-We"].actual_us - 1
    assert f"NT-We: {by_hand / 800:.2f} µs against 8.0 µs ({error:+.1%})" in shown
    assert "256 elements" not in facts["findings"][0] and "times as fast as 64" in facts["findings"][-1]
    assert f"{error:+.1%} |" in (folder / "tables.md").read_text()
    assert (folder / "plot.svg").read_text().startswith("<?xml")
    assert main(["study", "--output", str(tmp_path)]) == 0
    assert "paper_layers" in capsys.readouterr().out


def test_a_row_that_is_far_off_says_what_differs(small):
    cell = {"seed": 0, "fifo_depth": 8, "pe_count": 64}
    numbers = {"cycles": 8.0 * 800 * 2, "theoretical_cycles": 5.2 * 800, "load_balance_efficiency": 0.3}
    numbers |= {f"energy_{name}_pj": 1.0 for name in ("clock", "dram")}
    rows = [
        {"cell": {**cell, "layer": layer, "fifo_depth": depth, "pe_count": count}, "numbers": numbers}
        for layer in (*eie.LAYERS, eie.TRAINED, eie.BALANCED, eie.SHUFFLED)
        for depth in (1, 8, 256)
        for count in (1, 4, 64, 256)
    ]
    first = eie.findings(eie.Found(rows))[0]
    assert first.startswith("NT-We: 16.00 µs against 8.0 µs (+100.0%), further off than 8%")
    assert "differs by +0.0%, and the imbalance is 3.08 where theirs is 1.54" in first


def test_settings_do_not_apply(capsys):
    assert main(["study", "eie", "--plan"]) == 2
    assert "has no settings" in capsys.readouterr().err
