"""The table of records: one line each in a pipe, few columns on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.views.labels import short_ids
from harness.views.summary import summary_cells, summary_table


def shown(table, width):
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None, highlight=False).print(table)
    return stream.getvalue()


@pytest.fixture
def records(make_record):
    return [
        make_record("[red]bold[/red]", noisy="load 3.2 on 2 cores", queries=50),
        make_record(target="eie"),
        make_record(verdict="invalid", accuracy=0.85, seed=1, environment={"commit": "1e8215b0c4d2-dirty"}),
        make_record(methodology=1, parameters={"sparsity": 0.9}, effort="quick"),
    ]


def test_in_a_pipe_each_record_is_one_line_with_all_that_tells_it_apart(records):
    lines = shown(summary_table(records), 400).splitlines()
    rows = {record.id[:8]: next(line for line in lines if record.id[:8] in line) for record in records}
    assert len(set(rows.values())) == 4
    first, simulated, invalid, old = rows.values()
    assert "[red]bold[/red]" in first, "a submission's name is text and no markup"
    assert all(
        text in first for text in ("2026-03-01 12:00", "1e8215b0", "91.87 %", "-0.38 pp [-0.69, -0.07]", "70.0 %")
    )
    assert "(noisy)" in first and "1.51× [1.49, 1.53] (noisy)" in first
    assert all(text in simulated for text in ("24.4 µs (simulated)", "13.9 µJ (simulated)", "3.10× (simulated)"))
    assert "invalid: quality_target" in invalid and "1e8215b0-dirty" in invalid and "sparsity=0.7" in invalid
    assert "(old export)" in old and "sparsity=0.9" in old and "quick" in old


@pytest.mark.parametrize("width", [80, 100, 120])
def test_on_a_terminal_nothing_is_cut(records, width):
    text = shown(summary_table(records, stacked=True), width)
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= width and "…" not in text
    for record in records:
        assert record.id[:8] in text
    for part in (
        "-0.38 pp",
        "[-0.69, -0.07]",
        "[1.49, 1.53]",
        "old export",
        "simulated",
        "1e8215b0-dirty",
        "sparsity=0.9",
    ):
        assert part in text
    assert lines[0].strip() == "cifar10_resnet20", "what all have in common is said once"


def test_what_all_records_share_stands_above_the_table(make_record):
    records = [make_record("a"), make_record("b")]
    lines = shown(summary_table(records, stacked=True), 80).splitlines()
    assert lines[0].strip() == "cifar10_resnet20, cpu, seed 0, effort standard, commit 1e8215b0"
    assert not any("1e8215b0" in line for line in lines[1:])


def test_ids_are_as_long_as_the_whole_store_asks(make_record):
    one, two = make_record(id="0" * 12 + "1" * 8), make_record(id="0" * 12 + "2" * 8)
    assert "0000000000001" in shown(summary_table([one], short_ids([one, two])), 300)


def test_figures_that_are_absent_are_dashes(make_record):
    cells = summary_cells(make_record(verdict="error"))
    assert {str(cell) for name, cell in cells.items() if name != "verdict"} == {"–"}
    assert str(cells["verdict"]) == "error: target_failed"


def test_an_empty_table_prints():
    assert "submission" in shown(summary_table([]), 200)
    assert "submission" in shown(summary_table([], stacked=True), 80)
