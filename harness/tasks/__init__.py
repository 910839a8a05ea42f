"""Tasks: what is pruned, on which data, and the quality that must be kept."""

from __future__ import annotations

from pathlib import Path

from harness.tasks.task import Task
from harness.util.names import UnknownNameError, UsageError

TASK_FOLDER = Path(__file__).resolve().parent.parent / "conf" / "task"


def task_names() -> list[str]:
    """Names of all tasks, sorted."""
    return sorted(path.stem for path in TASK_FOLDER.glob("*.yaml"))


def load_task(name: str) -> Task:
    """Read a task from `harness/conf/task/<name>.yaml`.

    Raises:
        UnknownNameError: no such task; the message names the nearest.
        UsageError: the file does not hold a valid task; the message names each wrong field.
    """
    import yaml

    path = TASK_FOLDER / f"{name}.yaml"
    if name not in task_names():
        raise UnknownNameError("task", name, task_names())
    return task_from_mapping(yaml.safe_load(path.read_text()), str(path))


def task_from_mapping(fields: dict, where: str) -> Task:
    """Build a `Task` from plain values, every field checked.

    Raises:
        UsageError: a field is unknown, missing or of the wrong type.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Task).validate_python(fields)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise UsageError(f"{where} is not a valid task:\n" + "\n".join(lines)) from error
