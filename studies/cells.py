"""A study's cells as stages of the harness's store, each under a key made of all that its numbers depend on.

That is its parameters, the task with its reference, what the study's module can import and read, the
libraries, and the machine where cells time something (`harness.store.keys`). Not plots and wording, which
`record.redraw` makes anew from the numbers.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.store.keys import stage_key, study_parts
from harness.store.methodology import METHODOLOGY
from harness.store.store import Store
from harness.training.loop import DivergedError
from harness.util.environment import describe_environment
from studies.lab import Lab
from studies.study import Cell, Numbers, Row, Study

KIND = "cell"


class DamagedCellError(ValueError):
    """A cell's file is not what was written."""


@dataclass(frozen=True)
class Cells:
    """The cells of one study on one task.

    Attributes:
        basis: what all keys depend on.
    """

    store: Store
    basis: Mapping[str, Any]

    @classmethod
    def of(cls, study: Study, lab: Lab, store: Store) -> Cells:
        basis = study_parts(f"studies.{study.name}", lab.task, lab.reference_sha256, measures=study.measures)
        return cls(store, basis)

    def key(self, cell: Cell) -> str:
        return stage_key({**self.basis, "cell": cell})

    def path(self, cell: Cell) -> Path:
        """The file that holds what came out."""
        return self.store.stage(KIND, self.key(cell)) / "stage.json"

    def read(self, cell: Cell) -> Row | str | None:
        """The row of `cell`, or why it failed for good; None where it has not been run.

        Raises:
            DamagedCellError: there is a file, but it does not hold this cell's result.
        """
        if not self.store.finished(KIND, self.key(cell)):
            return None
        try:
            return _outcome(self.store.result(KIND, self.key(cell)), cell)
        except FileNotFoundError:  # removed since
            return None
        except DamagedCellError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedCellError(f"{type(error).__name__}: {error}") from error

    def run(self, cell: Cell, work: Callable[[], Numbers], *, wait: bool = True) -> Row | str:
        """Do `cell` unless it is done, and return its row, or why it failed for good; a damaged one is done again.

        A training that diverges is a result too: the same cell would diverge again.

        Raises:
            StageBusyError: another process is at it, and we do not wait.
            OSError: the store cannot be written.
        """
        try:
            self.read(cell)
        except DamagedCellError:
            self.store.discard(KIND, self.key(cell))
        return _outcome(self.store.do(KIND, self.key(cell), lambda scratch: self._done(cell, work), wait=wait), cell)

    def _done(self, cell: Cell, work: Callable[[], Numbers]) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            numbers = {name: float(value) for name, value in work().items()}
            lost = [name for name, value in numbers.items() if not math.isfinite(value)]
            outcome: dict[str, Any] = {"failed": f"not finite: {', '.join(lost)}"} if lost else {"numbers": numbers}
        except DivergedError as error:
            outcome = {"failed": str(error)}
        return {
            "study": self.basis["study"],
            "task": self.basis["task"]["name"],
            "cell": json.loads(json.dumps(cell)),
            **outcome,
            "time_s": round(time.perf_counter() - began, 3),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "environment": describe_environment(),
            "methodology": METHODOLOGY,
        }


def _outcome(stage: Mapping[str, Any], cell: Cell) -> Row | str:
    """What a stage says, once it is certain that it is of `cell`.

    Raises:
        DamagedCellError: it is of another cell, or holds no numbers.
    """
    if stage["cell"] != json.loads(json.dumps(cell)):
        raise DamagedCellError("it is of another cell")
    if "failed" in stage:
        return str(stage["failed"])
    numbers = {str(name): float(value) for name, value in stage["numbers"].items()}
    if not numbers or not all(map(math.isfinite, numbers.values())):
        raise DamagedCellError("its numbers are not finite")
    made_with = {name: stage[name] for name in ("created", "environment", "methodology")}
    return Row(stage["cell"], numbers, float(stage["time_s"]), made_with)
