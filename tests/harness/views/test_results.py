"""Records read back from a store."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict

import pandas
import pytest

from harness.store.records import from_json, to_json
from harness.views import results


@pytest.fixture
def store(tmp_path):
    (tmp_path / "records").mkdir()

    def write(*records):
        for record in records:
            (tmp_path / "records" / f"{record.id}.json").write_text(to_json(record))
        return tmp_path

    return write


def test_every_record_is_read_oldest_first(store, make_record):
    late = make_record(created="2026-03-02T00:00:00+00:00", queries=3)
    early = make_record("dense", "eie", created="2026-03-01T00:00:00+00:00")
    assert results.read_records(store(late, early)) == ([early, late], [])


def test_broken_files_are_named_and_the_others_still_read(store, make_record):
    good, twin = make_record(queries=3), make_record("other", queries=3)
    root = store(good)
    (root / "records" / "torn.json").write_text(to_json(good)[:100])
    (root / "records" / "newer.json").write_text('{"schema_version": 99}')
    (root / "records" / "binary.json").write_bytes(b"\xff\xfe\x00")
    (root / "records" / "renamed.json").write_text(to_json(twin))
    (root / "records" / "folder.json").mkdir()
    records, problems = results.read_records(root)
    assert records == [good]
    assert len(problems) == 5
    for name in ("torn", "newer", "binary", "renamed", "folder"):
        assert sum(f"{name}.json" in problem for problem in problems) == 1, problems


def test_an_empty_store_has_no_records(tmp_path):
    assert results.read_records(tmp_path) == ([], [])


def test_json_is_the_whole_record_but_for_the_samples(make_record):
    records = [make_record(queries=5), make_record("dense", verdict="error")]
    bare = json.loads(results.as_json(records))
    assert [set(asdict(record)) - set(item) for record, item in zip(records, bare, strict=True)] == [{"samples"}] * 2
    full = json.loads(results.as_json(records, samples=True))
    assert [from_json(json.dumps(item)) for item in full] == records
    assert bare[0]["quality"]["delta_ci_low"] < bare[0]["quality"]["delta"] < bare[0]["quality"]["delta_ci_high"]
    assert bare[0]["quantities"]["latency_p50_ns"]["unit"] == "ns"


def test_rows_and_csv_hold_values_with_their_basis(make_record):
    records = [make_record(queries=50), make_record(target="eie"), make_record(verdict="error")]
    frame = pandas.DataFrame(results.to_rows(records))
    assert list(frame["latency_p50_ns_basis"][:2]) == ["measured", "simulated"]
    assert frame["latency_p50_ns"].isna().tolist() == [False, False, True]
    rows = list(csv.DictReader(io.StringIO(results.as_csv(records))))
    assert [row["verdict"] for row in rows] == ["valid", "valid", "error"]
    assert float(rows[0]["latency_p50_ns"]) == records[0].quantities["latency_p50_ns"].value
    assert rows[0]["energy_per_inference_pj"] == "" and rows[2]["rule"] == "target_failed"


def test_csv_rows_that_look_the_same_can_be_told_apart(make_record):
    environment = {"commit": "1e8215b0c4d2-dirty"}
    records = [
        make_record(parameters={"sparsity": 0.5, "recovery": {"epochs": 3}}, environment=environment, effort="quick"),
        make_record(parameters={"sparsity": 0.9, "recovery": {"epochs": 3}}, methodology=1, seed=1),
    ]
    rows = list(csv.DictReader(io.StringIO(results.as_csv(records))))
    assert [row["short_id"] for row in rows] == [record.id[:8] for record in records]
    assert rows[0]["created"] == records[0].created and rows[0]["commit"] == "1e8215b0-dirty"
    assert [row["differs"] for row in rows] == ["sparsity=0.5", "sparsity=0.9"]
    assert [row["params.recovery.epochs"] for row in rows] == ["3", "3"], "CSV has all of them"
    assert [row["seed"] for row in rows] == ["0", "1"] and [row["effort"] for row in rows] == ["quick", "standard"]
    assert [row["methodology"] for row in rows] == ["2", "1"]
    assert rows[0]["latency_p50_ns_low"] and not rows[1]["latency_p50_ns_low"]
    assert rows[1]["speedup_vs_dense_low"]
