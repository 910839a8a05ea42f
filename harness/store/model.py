"""An ONNX file in the store, which is what it was when it was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.entries.rules import HarnessError
from harness.util.files import sha256_of_file

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class StoredModel:
    """An ONNX file, known by its hash."""

    path: Path
    sha256: str

    def check(self) -> None:
        """Make sure that the file is still what it was.

        Raises:
            HarnessError: it is gone, or was changed.
        """
        try:
            actual = sha256_of_file(self.path)
        except FileNotFoundError as error:
            raise HarnessError(f"{self.path} is gone. Delete its folder and run again.") from error
        if actual != self.sha256:
            raise HarnessError(f"{self.path} was changed after it was made. Delete its folder and run again.")

    def read(self) -> onnx.ModelProto:
        """The model, of a file that was admitted or is our own.

        Raises:
            HarnessError: it is gone, or was changed.
        """
        import onnx

        self.check()
        return onnx.load_model_from_string(self.path.read_bytes())
