"""Files: written whole or not at all, and told apart by their content."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_aside(path: Path, *, several: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write to, which takes its place when the block has ended.

    Where the block raises, or the disk is full, `path` stays as it was and nothing is left beside it. What a
    killed process left there is written over by the next.

    Args:
        several: processes may write `path` at the same time, each beside the others; a killed one's is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part" if several else f".{path.name}.part")
    try:
        yield aside
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to `path`, the whole of it or nothing."""
    with written_aside(path, several=True) as aside:
        aside.write_text(text, encoding="utf-8")


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
