"""The first stage of a run: the submission's `compress`, in a process of its own, under its budget."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.entries.process import run_worker
from harness.entries.rules import Failure
from harness.entries.worker import Job
from harness.run.stage import Stage
from harness.run.values import Broken, Prepared, Request
from harness.store.store import Store
from harness.util.files import sha256_of_file

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivered:
    """A submission's model is in the store.

    Attributes:
        time_s: wall clock that `compress` took.
        samples_trained: training samples that went through `context.train`.
    """

    onnx_sha256: str
    time_s: float
    samples_trained: int


COMPRESS: Stage[Delivered | Broken] = Stage("compress", Delivered | Broken)


def compress(request: Request, prepared: Prepared, store: Store) -> Delivered | Broken:
    """Call the submission, once for each key.

    Raises:
        HarnessError: the worker was ended from outside; the next call tries again.
        UsageError: the submission says that its parameters make no sense.
        OSError: the store cannot be written.
    """

    def work(scratch: Path) -> Delivered | Broken:
        log.info("[%s] compressing, seed %d", request.submission.name, request.seed)
        result = run_worker(_job(request, prepared, scratch), scratch)
        shutil.rmtree(scratch / "scratch", ignore_errors=True)
        for used in ("job.json", "result.json"):
            (scratch / used).unlink(missing_ok=True)
        model = scratch / "model.onnx"
        if result.rule:
            model.unlink(missing_ok=True)
            failure = Failure(result.rule, result.message, result.detail)
            return Broken(failure, time_s=result.time_s, samples_trained=result.samples_trained)
        return Delivered(sha256_of_file(model), result.time_s, result.samples_trained)

    return COMPRESS.do(store, prepared.key, work)


def _job(request: Request, prepared: Prepared, scratch: Path) -> Job:
    return Job(
        task=asdict(request.task),
        weights=str(prepared.weights.path),
        submission=request.submission.name,
        folder=str(request.submission.folder),
        config=dict(request.submission.parameters),
        seed=request.seed,
        workdir=str(scratch),
        limit_s=request.task.budget.compress_s,
    )
