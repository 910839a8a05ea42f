"""MLflow as a mirror of the records: made from them, and made again from them whenever it is lost.

One experiment a task, one run a submission (a compress stage), and under it one nested run a record.
Mirroring a record that is there already does nothing; one that was cut short is made anew.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from harness.store.records import Record, to_json
from harness.util.names import UsageError
from harness.views.mirror_names import by_path, changed_names, mlflow_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RECORD_TAG = "openprune.record_id"
KIND_TAG = "mlflow.experimentKind"  # so that its page opens on the runs, not on traces of language models
CREATED_TAG = "openprune.created"
RUN_TAG = "openprune.run"
LONGEST_PARAMETER = 6000
LONGEST_TAG = 5000
BATCH = 100
LOCK_TIMEOUT_S = 120.0


class MirrorError(Exception):
    """MLflow could not be written. The records are safe: mirror them again once the cause is gone."""


@dataclass(frozen=True)
class Mirrored:
    """What a call did: runs made, records that were there already, artifacts that could not be found."""

    made: int
    known: int
    missing: tuple[str, ...] = ()


def mirror(records: Iterable[Record], root: Path, tracking_uri: str | None = None) -> Mirrored:
    """Write to MLflow what it does not hold yet.

    Args:
        root: the store's folder; artifacts are relative to it.
        tracking_uri: else `MLFLOW_TRACKING_URI`, else an SQLite file in the store.

    Raises:
        MirrorError: MLflow or its store failed; nothing of the records is lost.
    """
    from filelock import FileLock, Timeout

    root = root.resolve()
    uri = address(root, tracking_uri)
    made, known, missing = 0, 0, list[str]()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _quiet_mlflow(), FileLock(root / ".mlflow.lock", timeout=LOCK_TIMEOUT_S):
            client = _client(uri)
            for record in records:
                experiment = _experiment(client, record.task, root, local=uri == address(root, None, {}))
                there = _finished(client, experiment, RECORD_TAG, record.id)
                if there is not None and there.data.tags.get(CREATED_TAG) == record.created:
                    known += 1
                    continue
                if there is not None:  # the record was written anew, after an error
                    client.delete_run(there.info.run_id)
                missing += _mirror_record(client, experiment, record, root)
                made += 1
    except Timeout as error:
        raise MirrorError(f"Another process has held {root / '.mlflow.lock'} for {LOCK_TIMEOUT_S:.0f} s.") from error
    except Exception as error:  # whatever fails inside MLflow must not cost a run its result
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise MirrorError(
            f"MLflow at {uri} failed: {reason}. The records are safe; mirror them again once this is mended "
            "(a database file of the store may be deleted: it is rebuilt)."
        ) from error
    return Mirrored(made, known, tuple(missing))


def address(root: Path, tracking_uri: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """The tracking URI: as asked for, else `MLFLOW_TRACKING_URI`, else `mlflow.db` in the store."""
    return tracking_uri or environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def ui_command(root: Path, port: int = 5000, tracking_uri: str | None = None) -> list[str]:
    """The command that shows the mirror in a browser, for this machine alone.

    Raises:
        UsageError: the mirror is on a server, which has pages of its own.
    """
    uri = address(root, tracking_uri)
    if uri.startswith(("http://", "https://", "databricks")):
        raise UsageError(f"The runs are on the server {uri}: open that address instead.")
    quiet = ["env", "MLFLOW_DISABLE_TELEMETRY=true"]
    command = [
        *quiet,
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--workers",
        "1",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    return [*command, "--backend-store-uri", uri, "--default-artifact-root", (root.resolve() / "mlartifacts").as_uri()]


def metrics_of(record: Record) -> dict[str, float]:
    """Numbers by name, units in the names; an interval's bounds end in `_low` and `_high`."""
    metrics = {
        "compress_time_s": record.compression.time_s,
        "samples_trained": float(record.compression.samples_trained),
    }
    if record.quality:
        q = record.quality
        metrics |= {"accuracy": q.value, "accuracy_reference": q.reference, "accuracy_target": q.quality_target}
        metrics |= {
            "accuracy_delta": q.delta,
            "accuracy_delta_low": q.delta_ci_low,
            "accuracy_delta_high": q.delta_ci_high,
        }
    for name, item in record.quantities.items():
        bounds = {"": item.value, "_low": item.low, "_high": item.high}
        metrics |= {_key(name + ending): float(value) for ending, value in bounds.items() if value is not None}
    return metrics


def _mirror_record(client: MlflowClient, experiment: str, record: Record, root: Path) -> list[str]:
    """Make the nested run of one record; returns the artifacts that are not in the store."""
    parent = _parent(client, experiment, record)
    tags = _tags(record) | {RECORD_TAG: record.id, CREATED_TAG: record.created, "mlflow.parentRunId": parent}
    name = record.target + (f" repeat {record.repeat}" if record.repeat else "")
    run_id = client.create_run(experiment, start_time=_time_ms(record), tags=tags, run_name=name).info.run_id
    _log(client, run_id, record, metrics_of(record))
    missing = _log_artifacts(client, run_id, record, root)
    client.set_terminated(run_id, "FAILED" if record.verdict == "error" else "FINISHED", _time_ms(record))
    return missing


def _parent(client: MlflowClient, experiment: str, record: Record) -> str:
    """The run of the submission, made with its first record."""
    found = _finished(client, experiment, RUN_TAG, record.run)
    if found:
        return str(found.info.run_id)
    tags = {RUN_TAG: record.run, "submission": record.submission, "seed": str(record.seed)}
    name = f"{record.submission} seed {record.seed}"
    run_id = client.create_run(experiment, start_time=_time_ms(record), tags=tags, run_name=name).info.run_id
    _log(client, run_id, record, {"compress_time_s": record.compression.time_s})
    client.set_terminated(run_id, end_time=_time_ms(record))
    return str(run_id)


def _finished(client: MlflowClient, experiment: str, tag: str, value: str) -> Run | None:
    """The ended run that bears the tag; one that was cut short is deleted."""
    found = None
    for run in client.search_runs([experiment], f"tags.`{tag}` = '{value}'"):
        if run.info.status == "RUNNING":
            client.delete_run(run.info.run_id)
        else:
            found = run
    return found


def _log(client: MlflowClient, run_id: str, record: Record, metrics: dict[str, float]) -> None:
    """In batches: one by one it takes fifteen times as long."""
    from mlflow.entities import Metric, Param

    params = [Param(key, value) for key, value in _parameters(record).items()]
    client.log_batch(run_id, [Metric(key, value, _time_ms(record), 0) for key, value in metrics.items()])
    for start in range(0, len(params), BATCH):
        client.log_batch(run_id, params=params[start : start + BATCH])


def _log_artifacts(client: MlflowClient, run_id: str, record: Record, root: Path) -> list[str]:
    """The record, its report with the plots, and the files it names, in the store's own folders."""
    from harness.views.report import write_report

    with TemporaryDirectory() as folder:
        page = write_report([record], Path(folder) / "report.html")
        text = Path(folder) / "record.json"
        text.write_text(to_json(record), encoding="utf-8")
        for path in (page, text):
            client.log_artifact(run_id, str(path))
    missing = []
    for name in record.artifacts:
        path = (root / name).resolve()
        if path.is_relative_to(root) and path.is_file():
            client.log_artifact(run_id, str(path), str(Path("files") / path.relative_to(root).parent))
        else:
            missing.append(name)
    if missing:
        client.set_tag(run_id, "openprune.missing_artifacts", ", ".join(missing)[:LONGEST_TAG])
    return missing


def _parameters(record: Record) -> dict[str, str]:
    """What was asked for; the submission's own configuration under `config.`. No two names become one."""
    asked = {"task": record.task, "submission": record.submission, "seed": record.seed, "effort": record.effort}
    flat = {(name,): value for name, value in asked.items()} | by_path(record.parameters, ("config",))
    return {mlflow_name(path): _text(value)[:LONGEST_PARAMETER] for path, value in flat.items()}


def _tags(record: Record) -> dict[str, str]:
    tags = {"submission": record.submission, "target": record.target, "verdict": record.verdict}
    tags |= {"task_version": str(record.task_version), "seed": str(record.seed), "effort": record.effort}
    tags |= {"methodology": str(record.methodology)}
    tags |= {
        key: _text(record.environment[key]) for key in ("commit", "machine_fingerprint") if key in record.environment
    }
    tags |= {f"basis.{_key(name)}": f"{item.basis}: {item.source}" for name, item in record.quantities.items()}
    tags |= {f"absent.{_key(name)}": reason for name, reason in record.absent.items()}
    if names := changed_names(record.parameters, ("config",)):
        tags["openprune.parameter_names"] = json.dumps(names, ensure_ascii=False)
    if record.noisy:
        tags["noisy"] = record.noisy
    if record.failure:
        tags["rule"] = record.failure.rule
        tags["mlflow.note.content"] = f"{record.verdict}, {record.failure.rule}: {record.failure.message}"
    return {key: value[:LONGEST_TAG] for key, value in tags.items()}


def _experiment(client: MlflowClient, task: str, root: Path, local: bool) -> str:
    found = client.get_experiment_by_name(task)
    if found and found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if found:
        return str(found.experiment_id)
    artifacts = (root / "mlartifacts").as_uri() if local else None
    return str(client.create_experiment(task, artifacts, tags={KIND_TAG: "custom_model_development"}))


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(uri, registry_uri=uri)


@contextmanager
def _quiet_mlflow() -> Iterator[None]:
    """No telemetry, and no account of a new database's forty migrations."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the default waits minutes for a server that is off
    import mlflow  # noqa: F401 - so that its own logging set-up comes before ours

    loggers = [logging.getLogger(name) for name in ("alembic", "alembic.runtime.migration", "mlflow.store.db.utils")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _key(name: str) -> str:
    """A name that MLflow takes: letters, digits and `_-. /`, at most 250 of them."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name)[:250]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _time_ms(record: Record) -> int:
    """When the record was made, so that a rebuilt mirror is sorted as the first one was."""
    return int(1000 * datetime.fromisoformat(record.created).timestamp())
