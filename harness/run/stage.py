"""A stage of a run: done once for each key, and what it gives is written in one place, here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.store.store import Store

T = TypeVar("T")


@dataclass(frozen=True)
class Stage(Generic[T]):
    """What a stage is called, and what it gives.

    Attributes:
        kind: its folder in the store.
        gives: the types of what it gives; which one it is shows from the fields.
    """

    kind: str
    gives: Any

    def do(self, store: Store, key: str, work: Callable[[Path], T]) -> T:
        """What `work` gives in an empty scratch folder; of a finished stage, what it gave before.

        Raises:
            OSError: the store cannot be written.
        """
        from pydantic import TypeAdapter

        adapter: TypeAdapter[T] = TypeAdapter(self.gives)
        written = store.do(self.kind, key, lambda scratch: adapter.dump_python(work(scratch), mode="json"))
        return adapter.validate_python(written)
