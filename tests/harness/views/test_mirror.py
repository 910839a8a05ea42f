"""MLflow holds what the records say, once, and can be thrown away."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.store.records import from_json, to_json
from harness.util.names import UsageError
from harness.views.mirror import RECORD_TAG, Mirrored, MirrorError, address, metrics_of, mirror, ui_command


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def records(make_record):
    kept = ["measure/m/mlperf_log_summary.txt", "measure/m/gone.txt", "../outside.txt"]
    wide = {f"option{n}": n for n in range(150)} | {"long": "x" * 9000}
    return [
        make_record(artifacts=kept, parameters=wide, repeat=1),
        make_record(target="eie"),
        make_record(seed=1, verdict="error"),
        make_record(task="other_task"),
    ]


@pytest.fixture(scope="module")
def store(records, tmp_path_factory):
    """A store with odd characters in its name, mirrored once."""
    base = tmp_path_factory.mktemp("mirror")
    root = base / "a store, année"
    (root / "measure" / "m").mkdir(parents=True)
    (root / "measure" / "m" / "mlperf_log_summary.txt").write_text("Result is : VALID")
    (base / "outside.txt").write_text("secret")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert mirror(records, root) == Mirrored(4, 0, ("measure/m/gone.txt", "../outside.txt"))
    return root


def runs_of(root, task="cifar10_resnet20"):
    from mlflow import MlflowClient

    client = MlflowClient(address(root))
    return client, client.search_runs([client.get_experiment_by_name(task).experiment_id])


def test_each_task_is_an_experiment_and_each_record_a_nested_run(store, records):
    _, runs = runs_of(store)
    children = {run.data.tags[RECORD_TAG]: run for run in runs if RECORD_TAG in run.data.tags}
    parents = {run.info.run_id: run for run in runs if RECORD_TAG not in run.data.tags}
    assert set(children) == {record.id for record in records[:3]}
    assert sorted(run.info.run_name for run in parents.values()) == ["magnitude seed 0", "magnitude seed 1"]
    assert {children[r.id].info.run_name for r in records[:3]} == {"cpu repeat 1", "eie", "cpu"}
    for record in records[:3]:
        parent = parents[children[record.id].data.tags["mlflow.parentRunId"]]
        assert parent.data.tags["openprune.run"] == record.run
    failed = children[records[2].id]
    assert failed.info.status == "FAILED" and "LoadGen did not end" in failed.data.tags["mlflow.note.content"]
    assert len(runs_of(store, "other_task")[1]) == 2


def test_a_run_holds_the_record_s_numbers_and_parameters(store, records):
    _, runs = runs_of(store)
    run = next(run for run in runs if run.data.tags.get(RECORD_TAG) == records[0].id)
    assert run.data.metrics == metrics_of(records[0])
    assert run.data.metrics["accuracy_delta"] == records[0].quality.delta
    assert run.data.metrics["latency_p50_ns"] == records[0].quantities["latency_p50_ns"].value
    assert run.data.params["config.option149"] == "149" and len(run.data.params["config.long"]) == 6000
    assert run.data.tags["basis.latency_p50_ns"].startswith("measured: MLPerf LoadGen")
    assert run.data.tags["methodology"] == str(records[0].methodology)
    assert "RAPL" in run.data.tags["absent.energy_per_inference_pj"]


def test_files_are_kept_beside_the_record_but_none_from_outside_the_store(store, records):
    client, runs = runs_of(store)
    run = next(run for run in runs if run.data.tags.get(RECORD_TAG) == records[0].id)
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"record.json", "report.html", "files"}
    folder = Path(client.download_artifacts(run.info.run_id, ""))
    assert (folder / "files/measure/m/mlperf_log_summary.txt").read_text() == "Result is : VALID"
    assert from_json((folder / "record.json").read_text(encoding="utf-8")) == records[0]
    assert not list(folder.rglob("outside.txt"))
    assert run.data.tags["openprune.missing_artifacts"] == "measure/m/gone.txt, ../outside.txt"


def test_mirroring_twice_adds_nothing(store, records):
    before = {run.info.run_id for run in runs_of(store)[1]}
    assert mirror(records, store) == Mirrored(0, 4)
    assert {run.info.run_id for run in runs_of(store)[1]} == before


def test_a_run_that_was_cut_short_is_made_anew(store, records):
    client, runs = runs_of(store)
    run = next(run for run in runs if run.data.tags.get(RECORD_TAG) == records[1].id)
    client.update_run(run.info.run_id, status="RUNNING")
    assert mirror(records, store) == Mirrored(1, 3)
    again = [run for run in runs_of(store)[1] if run.data.tags.get(RECORD_TAG) == records[1].id]
    assert len(again) == 1 and again[0].info.run_id != run.info.run_id and again[0].info.status == "FINISHED"


def test_a_lost_mirror_is_rebuilt_by_two_processes_at_once(make_record, tmp_path):
    """Both meet an empty database; each record ends up there once."""
    records = [make_record(queries=20), make_record(target="eie")]
    (tmp_path / "records").mkdir()
    for record in records:
        (tmp_path / "records" / f"{record.id}.json").write_text(to_json(record))
    code = (
        "import sys; from pathlib import Path; from harness.views.mirror import mirror;"
        "from harness.views.results import read_records; root = Path(sys.argv[1]);"
        "print(mirror(read_records(root).records, root).made)"
    )
    home = Path(__file__).parents[3]
    command = [sys.executable, "-c", code, str(tmp_path)]
    both = [
        subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in both]
    assert sorted(out.strip() for out, _ in outputs) == ["0", "2"], outputs
    assert not any("alembic" in err or "Traceback" in err for _, err in outputs), outputs
    assert len(runs_of(tmp_path)[1]) == 3


def test_a_failing_mlflow_says_so_and_harms_nothing(make_record, tmp_path):
    record = make_record(queries=5)
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(MirrorError, match=r"mlflow\.db failed.*records are safe") as caught:
        mirror([record], tmp_path)
    assert caught.value.__cause__ is not None
    with pytest.raises(MirrorError, match=r"http://127\.0\.0\.1:9 failed"):
        mirror([record], tmp_path, "http://127.0.0.1:9")
    shutil.rmtree(tmp_path)
    tmp_path.write_text("a file where the store should be")
    with pytest.raises(MirrorError):
        mirror([record], tmp_path)


def test_logging_is_left_as_it_was(store, records):
    logger = logging.getLogger("alembic")
    before = logger.level
    mirror(records[:1], store)
    assert logger.level == before


def test_the_address_can_be_chosen(tmp_path, monkeypatch):
    assert address(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert address(tmp_path) == "http://127.0.0.1:9" and address(tmp_path, "sqlite:///x.db") == "sqlite:///x.db"
    with pytest.raises(UsageError, match="open that address"):
        ui_command(tmp_path)


def test_the_pages_are_for_this_machine_alone(tmp_path):
    command = ui_command(tmp_path, port=5005)
    assert command[:2] == ["env", "MLFLOW_DISABLE_TELEMETRY=true"] and "mlflow" in command
    options = dict(itertools.pairwise(command))
    assert options["--host"] == "127.0.0.1" and options["--port"] == "5005" and options["--workers"] == "1"
    assert options["--backend-store-uri"] == f"sqlite:///{tmp_path}/mlflow.db"


def test_the_telemetry_is_off():
    code = (
        "import os; os.environ.pop('MLFLOW_DISABLE_TELEMETRY', None)\n"
        "from harness.views.mirror import _quiet_mlflow\n"
        "with _quiet_mlflow():\n"
        "    from mlflow.telemetry.utils import is_telemetry_disabled\n"
        "    print(is_telemetry_disabled())"
    )
    home = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "True", done.stderr


def test_metrics_are_plain_numbers(make_record):
    metrics = metrics_of(make_record())
    assert all(type(value) is float for value in metrics.values())
    assert json.dumps(metrics, allow_nan=False) and metrics["latency_p50_ns_low"] < metrics["latency_p50_ns"]
