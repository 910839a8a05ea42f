"""Looking choices up by name, with the nearest match when one is misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def choose(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Return `table[name]`.

    Raises:
        ValueError: `name` is not in `table`; the message names the nearest.
    """
    if name not in table:
        raise ValueError(f"There is no {kind} named {name!r}. {nearest(name, table)}")
    return table[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the entries of `known` closest to `name`, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known) or 'none'}."
