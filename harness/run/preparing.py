"""Before a submission is called: its parameters are looked at, and the reference and the data are there."""

from __future__ import annotations

import ast
import tempfile
from dataclasses import asdict
from pathlib import Path

from harness.contract import CLASS_NAMES, SUBMISSION_FILE
from harness.entries.loading import SubmissionFolder
from harness.entries.process import run_worker
from harness.entries.worker import Job
from harness.references.find import Missing, find_reference
from harness.run.dense import dense_model
from harness.run.reference import reference_file
from harness.run.values import Prepared, Request
from harness.store.keys import compress_key
from harness.store.store import Store
from harness.tasks.task import Task
from harness.util.names import UsageError


def prepare(request: Request, store: Store) -> Prepared:
    """What `request` stands on. The reference is trained or fetched where it is missing, and so are the data.

    Raises:
        HarnessError: the process that looks at the parameters was ended from outside.
        UsageError: the reference or the data set is missing, or the submission's parameters make no sense.
        OSError: the store cannot be written.
    """
    task, submission = request.task, request.submission
    missing = isinstance(find_reference(task), Missing)
    if missing:
        _make_ready(request)  # first of all: to train a reference may take an hour
    weights = reference_file(task)
    key = compress_key(task, weights.sha256, submission, request.seed)
    if not missing and not store.finished("compress", key):
        _make_ready(request)
    return Prepared(weights, key, dense_model(task, weights, store))


def _make_ready(request: Request) -> None:
    """The parameters make sense, and the data are fetched: here, where a progress bar can be seen."""
    from harness.data import load_dataset

    check_parameters(request.task, request.submission, request.seed)
    load_dataset(request.task.dataset)


def check_parameters(task: Task, submission: SubmissionFolder, seed: int) -> None:
    """Let a submission that has a method `check` look at its parameters; one that has none takes no time here.

    Raises:
        HarnessError: the worker was ended from outside.
        UsageError: the submission says that its parameters make no sense, or its `check` fails.
    """
    if not _has_check(submission.folder / SUBMISSION_FILE):
        return
    with tempfile.TemporaryDirectory(prefix="openprune-check-") as folder:
        job = Job(
            task=asdict(task),
            weights="",
            submission=submission.name,
            folder=str(submission.folder),
            config=dict(submission.parameters),
            seed=seed,
            workdir=folder,
            limit_s=task.budget.compress_s,
            only_check=True,
        )
        result = run_worker(job, Path(folder))
    if result.rule:
        raise UsageError(f"{submission.name}, looking at its parameters: {result.message}\n{result.detail}")


def _has_check(file: Path) -> bool:
    """Whether the class in a submission's file has a method `check`, found without running it."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError):
        return False
    return any(
        isinstance(inner, ast.FunctionDef) and inner.name == "check"
        for each in body
        if isinstance(each, ast.ClassDef) and each.name in CLASS_NAMES
        for inner in each.body
    )
