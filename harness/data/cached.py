"""One thing fetched once, verified, and kept decoded in a file: a corpus, a tokenizer, weights."""

from __future__ import annotations

import logging
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from harness.data import data_root
from harness.data.fetch import CorruptDataError, DataUnavailableError, Source, fetch, locked
from harness.util.files import written_aside

log = logging.getLogger(__name__)
T = TypeVar("T")
NOT_READY = (FileNotFoundError, NotADirectoryError, CorruptDataError)
UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, LookupError, ValueError)


@dataclass(frozen=True)
class Cached(Generic[T]):
    """What it is called, where it lies, and how it comes there.

    Attributes:
        title: for messages.
        place: the file with the decoded form, below `data_root()`; its folder belongs to it alone.
        command: what the user may run to get it.
        decode: from the file that a source gave.
        read, write: the decoded form from and to its file.
        verify: raises `ValueError` where the content is not what it should be.
    """

    title: str
    place: str
    command: str
    sources: tuple[Source, ...]
    decode: Callable[[Path], T]
    read: Callable[[Path], T]
    write: Callable[[T, Path], None]
    verify: Callable[[T], None]

    @property
    def file(self) -> Path:
        return data_root() / self.place

    def is_present(self) -> bool:
        """Whether the decoded file is there (its content is verified when it is loaded)."""
        return self.file.exists()

    def load(self, *, fetch: bool = True) -> T:
        """Read and verify it, and fetch it first if need be.

        Raises:
            DataUnavailableError: it is not there, and `fetch` is off or no source could give it.
        """
        try:
            return self._read()
        except NOT_READY as error:
            if not fetch:
                raise DataUnavailableError(f"{self.title}: not ready ({error}). Run: {self.command}") from error
            if isinstance(error, CorruptDataError):
                log.warning("Warning: %s; fetching it again.", error)
        return self._fetch()

    def _fetch(self) -> T:
        with locked(self.file.parent):
            try:
                return self._read()  # another process fetched it while we waited
            except NOT_READY:
                fetch(self.title, self.file.parent, self.sources, self._accept)
            return self._read()

    def _accept(self, download: Path, source: Source) -> None:
        """Decode, verify, and put the result in place by a rename."""
        content = self._checked(self.decode, download)
        with written_aside(self.file) as aside:
            self.write(content, aside)

    def _read(self) -> T:
        return self._checked(self.read, self.file)

    def _checked(self, read: Callable[[Path], T], file: Path) -> T:
        if not file.exists():
            raise FileNotFoundError(f"there is no {file}")
        try:
            content = read(file)
            self.verify(content)
        except UNREADABLE as error:
            size = file.stat().st_size if file.exists() else 0
            raise CorruptDataError(f"{file} ({size:,} bytes) is not {self.title}: {error}") from error
        return content
