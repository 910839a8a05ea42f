"""Parameters' names in MLflow: one to one, so that none is lost, and as they are wherever MLflow takes them.

MLflow refuses many characters, and names that mean another file than they say (`x//y`, `..`). Nested names
are joined by dots, where `a: {b: 1}` and `a.b: 1` would become equal.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

LONGEST = 250
DIGITS = 16  # hexadecimal, of a digest in a name
PLAIN = re.compile(r"[\w.\-/ ]+")
DIGEST = re.compile(rf"-[0-9a-f]{{{DIGITS}}}")

Path = tuple[str, ...]


def by_path(values: Mapping[str, Any], path: Path = ()) -> dict[Path, Any]:
    """Nested plain values by the keys that lead to them; a mapping without any is a value."""
    found: dict[Path, Any] = {}
    for key, value in values.items():
        here = (*path, str(key))
        found |= by_path(value, here) if isinstance(value, Mapping) and value else {here: value}
    return found


def mlflow_name(path: Path) -> str:
    """The keys joined by dots, where MLflow takes that and it can mean nothing else.

    Any other name gets what MLflow does not take replaced by `_`, and a digest of its keys at the end; a plain
    name that ends as if it had one gets one too.
    """
    name = ".".join(path)
    if (
        PLAIN.fullmatch(name)
        and len(name) <= LONGEST
        and posixpath.normpath(name) == name
        and not name.startswith(("/", ".."))
        and not DIGEST.search(name[-DIGITS - 1 :])
        and not any("." in key for key in path)
    ):
        return name
    digest = hashlib.sha256(json.dumps(path).encode()).hexdigest()[:DIGITS]
    cleaned = re.sub(r"[^\w.-]", "_", name).lstrip(".")
    return f"{cleaned[: LONGEST - DIGITS - 1]}-{digest}"


def changed_names(values: Mapping[str, Any], path: Path = ()) -> dict[str, list[str]]:
    """Names in MLflow that are not the keys joined by dots → those keys."""
    names = {mlflow_name(keys): list(keys) for keys in by_path(values, path)}
    return {name: keys for name, keys in names.items() if name != ".".join(keys)}
