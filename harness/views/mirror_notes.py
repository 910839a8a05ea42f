"""Which records MLflow has already, in small files beside the store's, so that a second call need not ask it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

from harness.store.records import Record
from harness.store.store import Store
from harness.util.files import write_atomically
from harness.views.mirror import MirrorError, address, mirror

log = logging.getLogger(__name__)


def mirror_new(records: Iterable[Record], store: Store) -> None:
    """Bring into MLflow what of `records` it does not have. What goes wrong there loses nothing, and is told."""
    new = [record for record in records if not _is_mirrored(record, store)]
    if not new:
        return
    try:
        mirror(new, store.root)
        for record in new:
            write_atomically(_note(record, store), record.created)
    except MirrorError as error:
        log.warning("Warning: MLflow was not updated: %s The records are safe.", error)


def _note(record: Record, store: Store) -> Path:
    where = hashlib.sha256(address(store.root).encode()).hexdigest()[:12]
    return store.root / "mirrored" / where / record.id


def _is_mirrored(record: Record, store: Store) -> bool:
    note = _note(record, store)
    return note.is_file() and note.read_text() == record.created
