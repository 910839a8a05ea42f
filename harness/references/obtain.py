"""How a task's dense network comes here where it is not yet: trained by the task's recipe, or fetched."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.references.find import SEED, Missing, ReferenceFile, cache_folder, find_reference
from harness.tasks.task import Task
from harness.util.files import sha256_of_file
from harness.util.names import UsageError

if TYPE_CHECKING:
    from harness.references.train import ReferenceFiles

log = logging.getLogger(__name__)
Judge = Callable[[Task, "ReferenceFiles"], Mapping[str, Any]]  # returns the record, `test_accuracy` in it


def obtain_reference(task: Task, judge: Judge) -> ReferenceFile:
    """`task`'s reference, trained or fetched first where that is how it comes about.

    Args:
        judge: is called once, with what was trained here.

    Raises:
        UsageError: it is not there and cannot be had here, or is not the file that the task names.
    """
    found = find_reference(task)
    if isinstance(found, Missing):
        if task.reference.origin == "trained":
            _train(task, judge)
        elif task.reference.origin == "torchvision":
            _fetch_published(task)
        found = find_reference(task)
    if isinstance(found, Missing):
        raise UsageError(f"The reference of {task.name} version {task.version} is missing. {found.remedy}")
    return found


def _train(task: Task, judge: Judge) -> None:
    """Train the reference by the task's recipe, with progress; a killed training is taken up again.

    Raises:
        UsageError: what came out is so far below the task's reference that no submission could pass.
    """
    from harness.data.fetch import locked
    from harness.references.train import train_reference

    with locked(cache_folder()):
        if isinstance(find_reference(task), ReferenceFile):
            return  # another process trained it while we waited
        log.info(
            "The reference of %s is trained once, now: %d epochs. "
            "It is kept, and a killed training goes on where it was.",
            task.name,
            task.recipe.epochs,
        )
        files = train_reference(task, cache_folder(), seed=SEED)
        reached = judge(task, files)["test_accuracy"]
    if reached < task.quality_target:
        raise UsageError(
            f"The reference trained here reaches {reached:.4f}, less than the {task.quality_target:.4f} that must "
            f"be kept (it reached {task.reference.value:.4f} where the task was made). Its record is "
            f"{files.record}; delete both files to try again."
        )


def _fetch_published(task: Task) -> None:
    from harness.data.fetch import CorruptDataError, HttpSource, Source, fetch, locked

    name, folder = task.reference.weights, cache_folder()

    def accept(file: Path, source: Source) -> None:
        actual = sha256_of_file(file)
        if not actual.startswith(str(task.reference.sha256)):
            raise CorruptDataError(f"{file.name}: expected SHA-256 {task.reference.sha256}…, found {actual}")
        file.replace(folder / name)

    with locked(folder):
        if isinstance(find_reference(task), Missing):
            fetch(
                f"torchvision {name}", folder, [HttpSource(f"https://download.pytorch.org/models/{name}", name)], accept
            )
