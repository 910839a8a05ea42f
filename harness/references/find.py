"""Where a task's dense network lies: shipped, trained here before, or published by torchvision."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.data import data_root, is_present
from harness.tasks.recipe import Recipe
from harness.tasks.task import Task
from harness.util.files import sha256_of_file
from harness.util.names import UsageError, pick

SHIPPED = Path(__file__).resolve().parent / "shipped"
SEED = 0  # of every reference


@dataclass(frozen=True)
class ReferenceFile:
    """Weights that are there and are what the task names.

    Attributes:
        sha256: of the file, all 64 digits.
    """

    path: Path
    sha256: str


@dataclass(frozen=True)
class Missing:
    """The weights are not on this machine.

    Attributes:
        remedy: what to do, or what the first run will do.
    """

    remedy: str


def find_reference(task: Task) -> ReferenceFile | Missing:
    """Look for `task`'s reference without making or fetching anything.

    Raises:
        UsageError: there is a file, but it is not the one that the task names.
    """
    return pick("origin", task.reference.origin, _FIND)(task)


def missing_for(task: Task) -> list[str]:
    """What is not on this machine yet of what `task` needs, each with what to do; empty: it can run now."""
    missing = []
    if not is_present(task.dataset):
        missing.append(f"data: openprune data fetch {task.dataset}")
    try:
        found = find_reference(task)
    except UsageError as error:
        missing.append(f"reference: {error}")
    else:
        if isinstance(found, Missing):
            missing.append(f"reference: {found.remedy}")
    return missing


def cache_folder() -> Path:
    """Where references are kept that do not come with the repository."""
    return data_root() / "references"


def _find_shipped(task: Task) -> ReferenceFile | Missing:
    name = task.reference.weights
    for path in (SHIPPED / name, cache_folder() / name):
        if path.is_file():
            return _verified(task, path, str(task.reference.sha256))
    return Missing(
        f"It comes with the repository: git checkout {name}. Weights trained anew (openprune train) are another "
        "reference: name their hash and value in the task."
    )


def _verified(task: Task, path: Path, expected: str) -> ReferenceFile:
    """The file, if its SHA-256 begins with the digits `expected`."""
    actual = sha256_of_file(path)
    if not actual.startswith(expected):
        raise UsageError(
            f"{path} is not the reference of {task.name} version {task.version}: expected SHA-256 {expected}, "
            f"found {actual}. Restore the file, or delete it and let it be fetched anew."
        )
    return ReferenceFile(path, actual)


def _find_trained(task: Task) -> ReferenceFile | Missing:
    path = cache_folder() / task.reference.weights
    record_file = path.with_suffix(".json")
    command = f"openprune train task={task.name}"
    if not path.is_file() or not record_file.is_file():
        return Missing(f"It is trained on first use, or by: {command}")
    try:
        record = json.loads(record_file.read_text())
    except ValueError as error:
        raise UsageError(f"{record_file} is no record of a training ({error}). Delete it and run: {command}") from error
    differing = differences(record, task)
    if differing:
        raise UsageError(
            f"{path} was trained otherwise than {task.name} version {task.version} asks for (other: "
            f"{', '.join(differing)}). Move it and {record_file.name} elsewhere, then run: {command}"
        )
    if "test_accuracy" not in record:
        return Missing(f"Its training ended before it was judged. Take it up again: {command}")
    return _verified(task, path, record["weights_sha256"])


def differences(record: dict[str, Any], task: Task) -> list[str]:
    """What of a training's record is not as `task` asks for: names of fields, none where all agree.

    A field of the recipe that is younger than the record counts with its default.
    """
    expected = {"task": task.name, "version": task.version, "seed": SEED}
    found = [name for name, value in expected.items() if record.get(name) != value]
    known = {name: value for name, value in record.get("recipe", {}).items() if name in asdict(task.recipe)}
    if known.keys() != record.get("recipe", {}).keys() or "epochs" not in known:
        return [*found, "recipe"]
    recipe, wanted = asdict(Recipe(**known)), asdict(task.recipe)
    return [*found, *(f"recipe.{name}" for name in wanted if recipe[name] != wanted[name])]


def _find_published(task: Task) -> ReferenceFile | Missing:
    name = task.reference.weights
    hub = Path(os.environ.get("TORCH_HOME") or Path.home() / ".cache" / "torch") / "hub" / "checkpoints"
    for path in (cache_folder() / name, hub / name):
        if path.is_file():
            return _verified(task, path, str(task.reference.sha256))
    return Missing(f"It is fetched on first use; or put torchvision's {name} into {cache_folder()}.")


_FIND: Mapping[str, Callable[[Task], ReferenceFile | Missing]] = {
    "shipped": _find_shipped,
    "trained": _find_trained,
    "torchvision": _find_published,
}
