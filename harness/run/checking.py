"""Before anything is done: an entry's own look at its parameters, in a process of its own."""

from __future__ import annotations

import ast
import tempfile
from dataclasses import asdict
from pathlib import Path

from harness.entries.loading import ENTRY_FILE, Entry
from harness.entries.worker import Job
from harness.run.compress import run_worker
from harness.tasks.task import Task
from harness.util.names import UsageError


def check_stage(task: Task, entry: Entry, seed: int) -> None:
    """Let an entry that has a method `check` look at its parameters; one that has none takes no time here.

    Raises:
        HarnessError: the worker was ended from outside.
        UsageError: the entry says that its parameters make no sense, or its `check` fails.
    """
    if not _has_check(entry.folder / ENTRY_FILE):
        return
    with tempfile.TemporaryDirectory(prefix="openprune-check-") as folder:
        job = Job(
            task=asdict(task),
            weights="",
            submission=entry.name,
            folder=str(entry.folder),
            config=dict(entry.parameters),
            seed=seed,
            workdir=folder,
            limit_s=task.budget.compress_s,
            only_check=True,
        )
        result = run_worker(job, Path(folder))
    if result.get("rule"):
        raise UsageError(f"{entry.name}, looking at its parameters: {result['message']}\n{result['detail']}")


def _has_check(file: Path) -> bool:
    """Whether the class in an entry's file has a method `check`, found without running it."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError):
        return False
    return any(
        isinstance(inner, ast.FunctionDef) and inner.name == "check"
        for each in body
        if isinstance(each, ast.ClassDef) and each.name == "Entry"
        for inner in each.body
    )
