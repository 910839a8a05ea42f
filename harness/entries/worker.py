"""The process in which a submission's code runs: `python -m harness.entries.worker job.json`.

It reads a job, calls the submission's `compress`, exports what comes back, and writes `result.json`
beside `model.onnx`. The parent keeps the ONNX file and trusts nothing else. When the parent dies,
the pipe to standard input closes and this process ends.
"""

from __future__ import annotations

import errno
import faulthandler
import importlib.util
import json
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.contract import CLASS_NAMES, SUBMISSION_FILE, ParameterError
from harness.entries.rules import RuleBroken

DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # the machine's fault, whoever meets them


@dataclass(frozen=True)
class Job:
    """What the worker is told.

    Attributes:
        task: the task's fields.
        weights: path of the reference's weights.
        folder: the submission's folder; workdir: where results and scratch files go.
        only_check: let the submission look at its parameters, and do nothing else.
    """

    task: dict[str, Any]
    weights: str
    submission: str
    folder: str
    config: dict[str, Any]
    seed: int
    workdir: str
    limit_s: float
    only_check: bool = False


@dataclass(frozen=True)
class WorkerResult:
    """What the worker tells: the submission's broken rule, wrong usage, the harness's own fault, or none of them."""

    time_s: float = 0.0
    samples_trained: int = 0
    rule: str | None = None
    usage: str | None = None
    fault: str | None = None
    message: str = ""
    detail: str = ""


def main(job_file: str) -> None:
    job = Job(**json.loads(Path(job_file).read_text()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    faulthandler.enable(sys.stdout)  # the log: also where standard error is a terminal
    try:
        result = check_job(job) if job.only_check else run_job(job)
    except RuleBroken as broken:
        result = WorkerResult(rule=broken.rule, message=str(broken), detail=broken.detail)
    except Exception as error:  # noqa: BLE001  outside the submission's own code: our fault, said so
        result = WorkerResult(fault=f"{type(error).__name__}: {error}", detail=traceback.format_exc())
    Path(job.workdir, "result.json").write_text(json.dumps(asdict(result)))


def run_job(job: Job) -> WorkerResult:
    """Call the submission and write `model.onnx` into the job's workdir.

    Raises:
        RuleBroken: the submission raised, returned something else than a model, or cannot be exported.
    """
    import numpy as np
    import torch

    from harness.data import load_dataset
    from harness.entries.context import WorkerContext
    from harness.references.load import reference_module
    from harness.tasks import task_from_mapping

    task = task_from_mapping(job.task, "the job")
    scratch = Path(job.workdir, "scratch")
    scratch.mkdir()
    data = load_dataset(task.dataset, fetch=False).without_test()
    context = WorkerContext(task, data, config=job.config, seed=job.seed, workdir=scratch, limit_s=job.limit_s)
    random.seed(job.seed)
    np.random.seed(job.seed)
    torch.manual_seed(job.seed)
    model = reference_module(task, Path(job.weights))
    began = time.monotonic()
    try:
        with _of_entry():
            delivered = load_class(Path(job.folder))().compress(model, context)
    except ParameterError as error:
        return WorkerResult(usage=str(error))
    spent = time.monotonic() - began
    Path(job.workdir, "model.onnx").write_bytes(_to_onnx(delivered, context.data.sample))
    return WorkerResult(time_s=spent, samples_trained=context.budget.samples_trained)


def check_job(job: Job) -> WorkerResult:
    """Let the submission look at its parameters: no data, no model.

    Raises:
        RuleBroken: the submission raised something else than `ParameterError`.
    """
    try:
        with _of_entry():
            load_class(Path(job.folder))().check(job.config)
    except ParameterError as error:
        return WorkerResult(usage=str(error))
    return WorkerResult()


@contextmanager
def _of_entry() -> Iterator[None]:
    """What the submission's own code raises is its broken rule, but for wrong usage and a full disk."""
    try:
        yield
    except ParameterError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and error.errno in DISK_FAULTS:
            raise
        raise RuleBroken(
            "entry_raised", f"The submission raised {type(error).__name__}: {error}", traceback.format_exc()
        ) from error


def load_class(folder: Path) -> Any:
    """The class in `submission.py` of `folder`; modules beside it can be imported by it too."""
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("submission", folder / SUBMISSION_FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["submission"] = module
    spec.loader.exec_module(module)
    for name in CLASS_NAMES:
        found = getattr(module, name, None)
        if found is not None and getattr(found, "__module__", "") != "harness.contract":  # imported for its types
            return found
    raise AttributeError(f"{folder / SUBMISSION_FILE} defines no class named {CLASS_NAMES[0]}")


def _to_onnx(delivered: object, sample: Any) -> bytes:
    import onnx
    from torch import nn

    from harness.entries.export import export_onnx, strip_metadata

    if isinstance(delivered, onnx.ModelProto):
        return strip_metadata(delivered).SerializeToString()
    if isinstance(delivered, nn.Module):
        return export_onnx(delivered, sample).SerializeToString()
    raise RuleBroken(
        "wrong_return", f"compress returned {type(delivered).__name__}; return a torch module or an onnx.ModelProto."
    )


def _end_with_parent() -> None:
    while os.read(0, 4096):
        continue
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
