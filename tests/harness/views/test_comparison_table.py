"""What `compare` shows, and what it says below."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.views.compare import compare
from harness.views.comparison_table import comparison_notes, comparison_table
from harness.views.labels import short_ids


def shown(comparison, width=300):
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None, highlight=False).print(comparison_table(comparison))
    return stream.getvalue()


def notes_of(comparison, *records):
    return "\n".join(comparison_notes(comparison, short_ids(records)))


def test_the_task_both_sides_and_refusals_are_told(make_record):
    a, b = make_record("a[b]", machine="m1"), make_record("b", machine="m2")
    comparison = compare([a], [b])
    text, notes = shown(comparison), notes_of(comparison, a, b)
    assert text.strip().startswith(f"cifar10_resnet20 on cpu: b ({b.id[:8]}) against a[b] ({a.id[:8]})")
    assert "Accuracy" in text and "1.000×" in text and "Verdict" in text
    assert "Not compared on cifar10_resnet20, cpu: Latency, median" in notes and "different machines (m1, m2)" in notes
    assert f"a on cifar10_resnet20, cpu: a[b], seed 0 ({a.id[:8]}), 2026-03-01 12:00, commit 1e8215b0" in notes


def test_a_broken_submission_shows_its_newest_figures_and_names_the_older_ones(make_record):
    good = make_record(accuracy=0.9913, run="r1", created="2026-03-01T10:00:00+00:00")
    broken = make_record(accuracy=0.101, verdict="invalid", run="r2", created="2026-03-01T11:00:00+00:00")
    comparison = compare([good, broken], [good, broken])
    text, notes = shown(comparison), notes_of(comparison, good, broken)
    assert text.count("10.10 %") == 2 and "99.13 %" not in text and "invalid: quality_target" in text
    assert f"Left out of magnitude on cifar10_resnet20, cpu: older: {good.id[:8]} seed 0 valid 99.13 %" in notes
    assert f"magnitude, seed 0 ({broken.id[:8]}): invalid, quality_target: The accuracy 0.1010" in notes


def test_one_bad_seed_of_three_is_seen(make_record):
    seeds = [make_record(seed=n, accuracy=0.92) for n in range(2)]
    bad = make_record(seed=2, accuracy=0.101, verdict="invalid")
    comparison = compare([*seeds, bad], [make_record("dense")])
    assert "2 valid, 1 invalid: quality_target" in shown(comparison)
    notes = comparison_notes(comparison, short_ids([*seeds, bad, make_record("dense")]))
    assert "medians of 3 records" in notes[0] and f"seed 2 ({bad.id[:8]} invalid 10.10 %)" in notes[0]


def test_doubts_are_said_beside_the_interval(make_record):
    comparison = compare([make_record("a", noisy="load 2")], [make_record("b", effort="quick")])
    text = shown(comparison)
    rows = {line[:30].strip(): line for line in text.splitlines()}
    assert rows["Speed-up against dense"].rstrip().endswith("(noisy)")
    assert "(noisy)" not in rows["Compression"]
    notes = notes_of(comparison, make_record("a", noisy="load 2"), make_record("b", effort="quick"))
    assert "noisy, load 2" in notes and "different efforts" in notes


def test_two_records_of_one_submission_say_in_what_they_differ(make_record):
    a, b = (make_record(parameters={"sparsity": s}, queries=q) for s, q in ((0.5, 9), (0.9, 8)))
    b = make_record(parameters={"sparsity": 0.9}, created="2026-03-02T00:00:00+00:00")
    assert "They differ: a sparsity=0.5; b sparsity=0.9" in notes_of(compare([a], [b]), a, b)


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_a_terminal(make_record, width):
    text = shown(compare([make_record("a")], [make_record("b")]), width)
    assert max(len(line) for line in text.splitlines()) <= width and "…" not in text
