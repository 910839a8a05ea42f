"""A study's cells on disk, each under a key made of all that its numbers depend on.

That is its parameters, the task with its reference, what the study's module can import and read, the
libraries, and the machine where cells time something (`harness.store.keys`). Not plots and wording, which
`record.redraw` makes anew from the numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.store.keys import stage_key, study_parts
from harness.util.files import write_atomically
from studies.lab import Lab
from studies.study import Cell, Row, Study


class DamagedCellError(ValueError):
    """A cell's file is not what was written."""


@dataclass(frozen=True)
class Notebook:
    """Where one study on one task keeps its cells.

    Attributes:
        folder: `<output>/<study>`.
        basis: what all keys depend on.
    """

    folder: Path
    basis: Mapping[str, Any]

    @classmethod
    def of(cls, study: Study, lab: Lab, output: Path) -> Notebook:
        basis = study_parts(f"studies.{study.name}", lab.task, lab.reference_sha256, measures=study.measures)
        return cls(output / study.name, basis)

    def path(self, cell: Cell) -> Path:
        return self.folder / "cells" / f"{stage_key({**self.basis, 'cell': cell})}.json"

    def read(self, cell: Cell) -> Row | str | None:
        """The row of `cell`, or why it failed for good; None where it has not been run.

        Raises:
            DamagedCellError: there is a file, but it does not hold this cell's result.
        """
        path = self.path(cell)
        if not path.is_file():
            return None
        try:
            read = json.loads(path.read_text())
            if read["cell"] != json.loads(json.dumps(cell)):
                raise DamagedCellError("it is of another cell")
            if "failed" in read:
                return str(read["failed"])
            numbers = {str(name): float(value) for name, value in read["numbers"].items()}
            if not numbers or not all(map(math.isfinite, numbers.values())):
                raise DamagedCellError("its numbers are not finite")
            return Row(read["cell"], numbers, float(read["time_s"]))
        except DamagedCellError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedCellError(f"{type(error).__name__}: {error}") from error

    def write(self, cell: Cell, **outcome: Any) -> None:
        write_atomically(self.path(cell), json.dumps({"cell": cell, **outcome}, indent=1) + "\n")
