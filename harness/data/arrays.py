"""Image sets that are kept decoded: four arrays in a folder, verified by the hash of their content.

Whatever source a data set came from, and however it was packed there, the same arrays must come
out: their hash decides. They are written only after it was found right, each by a rename, so that
a process that is killed leaves nothing that looks finished.
"""

from __future__ import annotations

import logging
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.dataset import Samples, content_hash
from harness.data.fetch import CorruptDataError, DataUnavailableError, Source, fetch, locked
from harness.util.files import written_aside

log = logging.getLogger(__name__)
FILES = {"train": ("train_images.npy", "train_labels.npy"), "test": ("test_images.npy", "test_labels.npy")}
MISSING = (FileNotFoundError, NotADirectoryError, CorruptDataError)
UNDECODABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    KeyError,
    ValueError,
    SyntaxError,
    RuntimeError,  # zipfile: an encrypted member, an unknown compression
)

Parts = tuple[Samples, Samples]


@dataclass(frozen=True)
class StoredArrays:
    """The training and test images of one data set, in `folder` or to be fetched into it.

    Attributes:
        name: as `openprune data fetch` takes it; title: as people write it.
        content_sha256: `content_hash(train, test)`.
        decode: reads the training and the test images out of a downloaded file; may raise any of
            `UNDECODABLE`.
    """

    name: str
    title: str
    folder: Path
    content_sha256: str
    sources: Sequence[Source]
    decode: Callable[[Path, Source], Parts]

    def is_present(self) -> bool:
        """Whether the files are there (their content is verified by `load`)."""
        return all((self.folder / name).exists() for names in FILES.values() for name in names)

    def load(self, *, fetch: bool) -> Parts:
        """Training and test images, verified; fetched first where they are missing or damaged.

        Raises:
            DataUnavailableError: they are not there, and `fetch` is off or no source gave them.
        """
        try:
            return self._read()
        except MISSING as error:
            if not fetch:
                raise DataUnavailableError(
                    f"{self.title} is not ready in {self.folder} ({error}). Run: openprune data fetch {self.name}"
                ) from error
            if isinstance(error, CorruptDataError):
                log.warning("Warning: %s; fetching it again.", error)
            return self._fetch()

    def accept(self, file: Path, source: Source) -> None:
        """Decode `file`, verify it, and put the arrays in place, each by a rename.

        Raises:
            CorruptDataError: it cannot be decoded, or holds something else.
        """
        try:
            train, test = self.decode(file, source)
        except UNDECODABLE as error:
            size = file.stat().st_size if file.exists() else 0
            raise CorruptDataError(f"{file.name} ({size} bytes) cannot be decoded: {error}") from error
        self._verify(train, test, file.name)
        for part, (image_name, label_name) in zip((train, test), FILES.values(), strict=True):
            for name, array in ((image_name, part.inputs), (label_name, part.labels)):
                with written_aside(self.folder / name) as aside, aside.open("wb") as out:
                    np.save(out, array)

    def _fetch(self) -> Parts:
        with locked(self.folder):
            try:
                return self._read()  # another process fetched it while we waited
            except MISSING:
                fetch(self.name, self.folder, self.sources, self.accept)
            return self._read()

    def _read(self) -> Parts:
        try:
            train, test = (Samples(*(np.load(self.folder / name) for name in names)) for names in FILES.values())
        except (ValueError, EOFError) as error:
            raise CorruptDataError(f"the cached arrays in {self.folder} cannot be read: {error}") from error
        self._verify(train, test, str(self.folder))
        return train, test

    def _verify(self, train: Samples, test: Samples, where: str) -> None:
        found = content_hash(train, test)
        if found != self.content_sha256:
            raise CorruptDataError(
                f"the content of {where} is not {self.title}: expected SHA-256 {self.content_sha256}, found {found}"
            )


def archive_member(archive: tarfile.TarFile, name: str) -> bytes:
    """The content of a file in `archive`.

    Raises:
        KeyError: there is no such file, or it is no plain file.
    """
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(f"{name} is not a file in the archive")
    return stream.read()
