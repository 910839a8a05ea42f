"""The content-addressed store: each stage of a run under its own key, whole or not there at all.

    runs/
      reference/<key>/    the dense model as ONNX
      compress/<key>/     stage.json, model.onnx, log.txt
      judge/<key>/        stage.json: the quality on a target
      measure/<key>/      stage.json, LoadGen's logs
      cell/<key>/         stage.json: one training or search of a study
      records/<id>.json   the truth; everything else can be made again from it

A stage is built in a scratch folder and renamed into place, so a folder with a stage's key is a
finished stage. A lock for each key keeps two processes from doing the same work.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.store.records import Record, from_json, to_json
from harness.util.files import write_atomically
from harness.util.names import UsageError

STAGES = ("reference", "compress", "judge", "measure", "cell")
GC_AGE_S = 24 * 3600


class StageBusyError(Exception):
    """Another process is doing the stage."""


def default_store_root() -> Path:
    """`$OPENPRUNE_STORE`, by default the folder `runs` where the command is called."""
    return Path(os.environ.get("OPENPRUNE_STORE") or "runs").expanduser().resolve()


@dataclass(frozen=True)
class Store:
    """The stages and records below `root`."""

    root: Path

    def stage(self, kind: str, key: str) -> Path:
        """Where the stage lives once it is finished."""
        return self.root / kind / key

    def finished(self, kind: str, key: str) -> bool:
        return (self.stage(kind, key) / "stage.json").is_file()

    def result(self, kind: str, key: str) -> dict[str, Any]:
        """What the stage wrote about itself."""
        return json.loads((self.stage(kind, key) / "stage.json").read_text())

    def do(
        self, kind: str, key: str, work: Callable[[Path], Mapping[str, Any]], *, wait: bool = True
    ) -> dict[str, Any]:
        """Do a stage unless it is finished already, and return its result.

        `work` gets an empty scratch folder and returns plain values for `stage.json`; what it
        raises leaves no trace in the store. A second process waits for the first and finds its
        result, unless it would rather not `wait`.

        Raises:
            OSError: the store cannot be written.
            StageBusyError: another process is at it, and we do not wait.
        """
        if not self.finished(kind, key):
            with self.locked(f"{kind}-{key}", wait=wait):
                if not self.finished(kind, key):
                    self._build(kind, key, work)
        return self.result(kind, key)

    def _build(self, kind: str, key: str, work: Callable[[Path], Mapping[str, Any]]) -> None:
        scratch = self.root / "scratch" / f"{kind}-{key}"
        shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left: we hold its lock
        scratch.mkdir(parents=True)
        try:
            result = work(scratch)
            write_atomically(scratch / "stage.json", json.dumps(result, indent=1))
            self.stage(kind, key).parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.stage(kind, key), ignore_errors=True)  # unfinished, or we would not be here
            scratch.rename(self.stage(kind, key))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def discard(self, kind: str, key: str) -> None:
        """Remove a finished stage that has turned out to be damaged, so that `do` does it again."""
        with self.locked(f"{kind}-{key}"):
            (self.stage(kind, key) / "stage.json").unlink(missing_ok=True)  # from here on it is unfinished
            shutil.rmtree(self.stage(kind, key), ignore_errors=True)

    @contextmanager
    def locked(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """Hold the lock `name`; ends with the process that holds it, however that ends.

        Raises:
            StageBusyError: another process holds it, and we do not wait.
        """
        from filelock import FileLock, Timeout

        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{name}.lock", timeout=-1 if wait else 0)
        try:
            lock.acquire()
        except Timeout as error:
            raise StageBusyError(name) from error
        try:
            yield
        finally:
            lock.release()

    def record_path(self, record_id: str) -> Path:
        return self.root / "records" / f"{record_id}.json"

    def read(self, record_id: str) -> Record | None:
        """The record with this id, or None where there is none."""
        path = self.record_path(record_id)
        return from_json(path.read_bytes(), str(path)) if path.exists() else None

    def write(self, record: Record) -> None:
        write_atomically(self.record_path(record.id), to_json(record))

    def forget_error(self, record_id: str) -> None:
        """Remove the record of a failure of the harness, once the work has been done after all."""
        record = self.read(record_id)
        if record is not None and record.verdict == "error":
            self.record_path(record_id).unlink()

    def gc(self, *, dry_run: bool = False, cells: bool = False) -> list[Path]:
        """Remove what no record refers to: orphaned stages and scratch folders.

        Records, dense references and what was judged are never removed, nor stages younger than a day, which a run
        may be about to use, nor anything whose lock another process holds. A study's cells, which no
        record refers to, are removed only where `cells` asks for it: they are hours of training.

        Returns:
            The folders removed (or that would be).
        """
        kept = self._referenced()
        kinds = ("compress", "measure", *(["cell"] if cells else []))
        stages = [p for kind in kinds for p in sorted((self.root / kind).glob("*"))]
        old = time.time() - GC_AGE_S
        gone = [p for p in stages if f"{p.parent.name}-{p.name}" not in kept and p.stat().st_mtime < old]
        gone += sorted((self.root / "scratch").glob("*"))
        removed = []
        for path in gone:
            name = path.name if path.parent.name == "scratch" else f"{path.parent.name}-{path.name}"
            try:
                with self.locked(name, wait=False):
                    if not dry_run:
                        (path / "stage.json").unlink(missing_ok=True)  # from here on it is unfinished
                        shutil.rmtree(path)
                    removed.append(path)
            except StageBusyError:
                continue
        return removed

    def _referenced(self) -> set[str]:
        kept = set()
        for path in (self.root / "records").glob("*.json"):
            record = from_json(path.read_bytes(), str(path))
            kept.add(f"compress-{record.compression.key}")
            for artifact in record.artifacts:
                kind, key, *_ = Path(artifact).parts
                kept.add(f"{kind}-{key}")
        return kept

    def merge(self, other: Path) -> int:
        """Copy the stages and records of the store at `other` that are not here yet.

        Returns:
            The number of records that are new.

        Raises:
            UsageError: `other` is not a store.
        """
        if not any((other / kind).is_dir() for kind in ("records", "cell")):
            raise UsageError(f"{other} is not a store: it has no folder `records`, nor one of studies, `cell`.")
        for kind in STAGES:
            for stage in sorted((other / kind).glob("*/stage.json")):
                if not self.finished(kind, stage.parent.name):
                    self._adopt(kind, stage.parent)
        new = 0
        for path in sorted((other / "records").glob("*.json")):
            record, here = from_json(path.read_bytes(), str(path)), self.read(path.stem)
            if here is None or (here.verdict == "error" and record.verdict != "error"):
                self.write(record)
                new += 1
        return new

    def _adopt(self, kind: str, folder: Path) -> None:
        with self.locked(f"{kind}-{folder.name}"):
            if not self.finished(kind, folder.name):
                scratch = self.root / "scratch" / f"{kind}-{folder.name}"
                shutil.rmtree(scratch, ignore_errors=True)
                shutil.copytree(folder, scratch)
                self.stage(kind, folder.name).parent.mkdir(parents=True, exist_ok=True)
                scratch.rename(self.stage(kind, folder.name))
