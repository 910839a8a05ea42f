"""The store: whole stages or none, done once, whoever is killed or comes second."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import replace

import pytest

from harness.store.keys import stage_key
from harness.store.records import to_json
from harness.store.store import GC_AGE_S, StageBusyError, Store
from harness.util.files import write_atomically
from harness.util.names import UsageError


def test_a_stage_is_done_once(tmp_path):
    calls = []

    def work(scratch):
        calls.append(scratch)
        (scratch / "model.onnx").write_bytes(b"onnx")
        return {"answer": 42}

    store = Store(tmp_path)
    assert store.do("compress", "k", work) == store.do("compress", "k", work) == {"answer": 42}
    assert len(calls) == 1
    assert (store.stage("compress", "k") / "model.onnx").read_bytes() == b"onnx"


def test_work_that_raises_leaves_nothing(tmp_path):
    def work(scratch):
        (scratch / "half").write_text("written")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        Store(tmp_path).do("compress", "k", work)
    assert not Store(tmp_path).finished("compress", "k")
    assert not list(tmp_path.glob("scratch/*")) and not list(tmp_path.glob("compress/*"))


def test_what_a_killed_run_left_is_swept_aside(tmp_path):
    left = tmp_path / "scratch" / "compress-k"
    left.mkdir(parents=True)
    (left / "stage.json").write_text('{"answer": "half a resu')
    assert Store(tmp_path).do("compress", "k", lambda scratch: {"files": len(list(scratch.iterdir()))}) == {"files": 0}


def _slow(root, log):
    def work(scratch):
        with log.open("a") as out:
            out.write("x")
        time.sleep(0.3)
        return {}

    Store(root).do("measure", "k", work)


def test_two_processes_do_a_stage_once(tmp_path):
    log = tmp_path / "log"
    pair = [multiprocessing.Process(target=_slow, args=(tmp_path / "runs", log)) for _ in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join(30)
    assert [process.exitcode for process in pair] == [0, 0]
    assert log.read_text() == "x"


def test_keys_tell_all_differences_apart():
    base = {"seed": 0, "parameters": {"a": 1, "b": [1, 2]}}
    assert stage_key(base) == stage_key({"parameters": {"b": [1, 2], "a": 1}, "seed": 0})
    others = [{**base, "seed": 1}, {**base, "parameters": {"a": 1, "b": [2, 1]}}, {"seed": 0}]
    assert len({stage_key(parts) for parts in (base, *others)}) == 4


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "record.json"
    write_atomically(file, "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.store.store.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, "new")
    assert file.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["record.json"]


def _stage(store: Store, kind: str, key: str, age_s: float = 0) -> None:
    store.do(kind, key, lambda scratch: (scratch / "data").write_text("x") and {})
    os.utime(store.stage(kind, key), (time.time() - age_s,) * 2)


def test_gc_keeps_what_records_need(tmp_path, make_record):
    store = Store(tmp_path)
    record = make_record()
    store.write(record)
    _stage(store, "compress", record.compression.key, age_s=2 * GC_AGE_S)
    _stage(store, "compress", "orphan", age_s=2 * GC_AGE_S)
    _stage(store, "compress", "just_made")
    _stage(store, "reference", "dense", age_s=2 * GC_AGE_S)
    orphan = store.stage("compress", "orphan")
    assert store.gc(dry_run=True) == [orphan] and orphan.exists()
    assert store.gc() == [orphan] and not orphan.exists()
    assert store.finished("compress", record.compression.key) and store.read(record.id) == record
    assert store.finished("compress", "just_made") and store.finished("reference", "dense")


def test_an_unfinished_stage_is_built_anew(tmp_path):
    store = Store(tmp_path)
    store.stage("compress", "k").mkdir(parents=True)
    (store.stage("compress", "k") / "model.onnx").write_text("of a stage whose removal was cut short")
    assert store.do("compress", "k", lambda scratch: {"answer": 1}) == {"answer": 1}
    assert not (store.stage("compress", "k") / "model.onnx").exists()


def test_an_error_gives_way_to_a_result(tmp_path, make_record):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    good = make_record()
    here.write(replace(good, verdict="error"))
    there.write(good)
    assert here.merge(there.root) == 1 and here.read(good.id).verdict == good.verdict
    here.forget_error(good.id)
    assert here.read(good.id) == good
    here.write(replace(good, verdict="error"))
    here.forget_error(good.id)
    assert here.read(good.id) is None


def test_gc_leaves_what_another_process_works_on(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "scratch" / "compress-busy").mkdir(parents=True)
    with store.locked("compress-busy"):
        assert store.gc() == []
    assert [path.name for path in store.gc()] == ["compress-busy"]


def test_merge_takes_in_what_is_new(tmp_path, make_record):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    for store, names in ((here, ["a", "b"]), (there, ["b", "c"])):
        for name in names:
            store.write(make_record(name))
    _stage(there, "measure", "m")
    assert here.merge(there.root) == 1
    assert here.finished("measure", "m")
    files = sorted((here.root / "records").glob("*.json"))
    assert len(files) == 3 and all(path.read_text() == to_json(here.read(path.stem)) for path in files)
    with pytest.raises(UsageError, match="not a store"):
        here.merge(tmp_path / "nowhere")


def test_gc_removes_cells_of_studies_only_when_asked(tmp_path):
    store = Store(tmp_path)
    _stage(store, "cell", "old", age_s=2 * GC_AGE_S)
    _stage(store, "cell", "just_made")
    assert store.gc() == [] and store.finished("cell", "old")
    assert store.gc(cells=True) == [store.stage("cell", "old")]
    assert not store.finished("cell", "old") and store.finished("cell", "just_made")


def test_merge_brings_the_cells_of_a_store_without_records(tmp_path):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    _stage(there, "cell", "c")
    assert here.merge(there.root) == 0
    assert here.finished("cell", "c") and there.finished("cell", "c")


def test_who_does_not_wait_is_told_that_a_stage_is_busy(tmp_path):
    store = Store(tmp_path)
    with store.locked("cell-k"), pytest.raises(StageBusyError):
        store.do("cell", "k", lambda scratch: {}, wait=False)
    assert store.do("cell", "k", lambda scratch: {"answer": 1}, wait=False) == {"answer": 1}


def test_a_stage_that_is_discarded_is_done_again(tmp_path):
    store = Store(tmp_path)
    _stage(store, "cell", "k")
    store.discard("cell", "k")
    assert not store.finished("cell", "k")
    assert store.do("cell", "k", lambda scratch: {"answer": 2}) == {"answer": 2}
