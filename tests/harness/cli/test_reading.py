from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.store.records import Failure
from harness.store.store import Store

Captured = pytest.CaptureFixture[str]


def test_results_are_plain_lines_where_no_terminal_is(store: Store, capsys: Captured) -> None:
    assert main(["results"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    rows = [line for line in out.splitlines() if "91.00" in line]
    assert [row.split()[4] for row in rows] == ["dense", "magnitude", "channel_l1"], "id, date, time, task"
    assert all(line == line.rstrip() for line in out.splitlines())


def test_results_as_json_and_csv_hold_the_same_records(store: Store, capsys: Captured) -> None:
    assert main(["results", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert all("samples" not in record for record in records)
    assert main(["results", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["id"] for row in rows] == [record["id"] for record in records]
    assert [float(row["latency_p50_ns"]) for row in rows] == [1e6, 2e6, 3e6]
    assert main(["results", "--json", "--samples"]) == 0
    assert len(json.loads(capsys.readouterr().out)[0]["samples"]["latency_ns"]) == 20


def test_results_are_filtered_by_names_that_exist(store: Store, capsys: Captured) -> None:
    assert main(["results", "--json", "--submission", "dense", "--submission", "channel_l1"]) == 0
    assert [r["submission"] for r in json.loads(capsys.readouterr().out)] == ["dense", "channel_l1"]
    assert main(["results", "--submission", "magnitud"]) == 2
    assert "Did you mean magnitude" in capsys.readouterr().err
    assert main(["results", "--samples"]) == 2
    assert main(["results", "--json", "--csv"]) == 2


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path, capsys: Captured) -> None:
    assert main(["results", "--json", "--store", str(tmp_path / "none")]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == []
    assert "openprune run" in captured.err
    assert not (tmp_path / "none").exists()


def test_a_broken_record_is_named_and_the_others_are_shown(store: Store, capsys: Captured) -> None:
    (store.root / "records" / "broken.json").write_text("{")
    assert main(["results", "--json"]) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)) == 3
    assert "broken.json" in captured.err


def test_two_entries_are_compared(store: Store, capsys: Captured) -> None:
    assert main(["compare", "dense", "magnitude"]) == 0
    assert "2.000×" in capsys.readouterr().out
    assert main(["compare", "dense", "magnitdue"]) == 2
    assert "Did you mean magnitude" in capsys.readouterr().err


def test_a_short_id_names_a_record_wherever_one_can_be_named(store: Store, tmp_path: Path, capsys: Captured) -> None:
    store.write(replace(store.read("00000000000000000001"), id="abcdef12345678900000", run="other"))  # type: ignore[type-var]
    assert main(["results", "abcdef12", "--json"]) == 0
    assert [r["id"] for r in json.loads(capsys.readouterr().out)] == ["abcdef12345678900000"]
    assert main(["compare", "dense", "abcdef"]) == 0
    assert "magnitude (abcdef12) against dense" in capsys.readouterr().out
    assert main(["report", "abcdef", "-o", str(tmp_path / "r.html")]) == 0
    assert "from 1 record." in capsys.readouterr().out
    for command in (["results", "0000"], ["compare", "dense", "0000"], ["report", "0000"]):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert "3 records begin with '0000'" in error
        assert "00000000000000000002" in error and "channel_l1" in error


def test_comparing_names_the_task_and_what_was_left_out(store: Store, capsys: Captured) -> None:
    old = store.read("00000000000000000001")
    assert old is not None and old.quality is not None
    broken = replace(
        old,
        id="f" * 20,
        run="later",
        created="2026-02-01T00:00:00Z",
        verdict="invalid",
        quality=replace(old.quality, value=0.101),
        failure=Failure("quality_target", "too low"),
    )
    store.write(broken)
    assert main(["compare", "magnitude", "magnitude"]) == 0
    out = capsys.readouterr().out
    assert "10.10 %" in out and "invalid: quality_target" in out
    line = next(line for line in out.splitlines() if line.startswith("Left out of magnitude on cifar10_resnet20, cpu"))
    assert "00000000000000000001" in line and "valid 91.00 %" in line


def test_a_report_is_one_file(store: Store, tmp_path: Path, capsys: Captured) -> None:
    assert main(["report", "magnitude", "-o", str(tmp_path / "new" / "r.html")]) == 0
    assert "from 1 record." in capsys.readouterr().out
    assert "magnitude" in (tmp_path / "new" / "r.html").read_text()
    assert main(["report"]) == 0
    assert (store.root / "report.html").is_file()
    assert main(["report", "-o", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert main(["report", "--store", str(tmp_path / "none")]) == 2


def test_gc_removes_what_no_record_needs(store: Store, capsys: Captured) -> None:
    orphan, kept = store.stage("compress", "orphan"), store.stage("compress", "key1")
    for folder in (orphan, kept):
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))  # younger ones are spared
    assert main(["store", "gc", "--dry-run"]) == 0
    assert orphan.exists()
    assert main(["store", "gc"]) == 0
    assert not orphan.exists()
    assert kept.exists()
    assert str(orphan) in capsys.readouterr().out
    assert main(["store", "gc", "--store", str(store.root / "nowhere")]) == 2


def test_merging_brings_the_records_that_are_new(store: Store, tmp_path: Path, capsys: Captured) -> None:
    other = str(tmp_path / "other")
    for expected in (3, 0):
        assert main(["store", "merge", str(store.root), "--store", other]) == 0
        assert capsys.readouterr().out.startswith(f"{expected} new records")
    assert main(["store", "merge", str(store.root)]) == 2
    assert main(["store", "merge", str(tmp_path / "absent")]) == 2
