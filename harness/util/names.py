"""Looking names up in tables, with the nearest match when one is misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


class UsageError(Exception):
    """The user asked for something that cannot be; the message says what to do (exit code 2)."""


class UnknownNameError(UsageError):
    """A name that is in no table."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known) or 'none'}."
        super().__init__(f"There is no {kind} named {name!r}. {hint}")


def pick(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Return `table[name]`.

    Raises:
        UnknownNameError: `name` is not in `table`; the message names the nearest.
    """
    try:
        return table[name]
    except KeyError:
        raise UnknownNameError(kind, name, table) from None
