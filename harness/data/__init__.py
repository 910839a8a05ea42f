"""Data sets: fetched once, verified by the hash of their decoded content, shared by all runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.names import pick

if TYPE_CHECKING:
    from harness.data.dataset import Dataset


def data_root() -> Path:
    """Where data sets live: `$OPENPRUNE_DATA`, by default `openprune` in the user's cache folder."""
    import os

    if configured := os.environ.get("OPENPRUNE_DATA"):
        return Path(configured).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "openprune"


def load_dataset(name: str, *, fetch: bool = True) -> Dataset:
    """Load data set `name` into memory.

    Args:
        fetch: get it from its sources where it is not there yet.

    Raises:
        UnknownNameError: no such data set.
        DataUnavailableError: not there, and no source could give it.
    """
    return pick("data set", name, _loaders())(fetch=fetch)


def dataset_names() -> list[str]:
    """Names of all data sets, sorted."""
    return sorted(_loaders())


def is_present(name: str) -> bool:
    """Whether data set `name` was fetched already (its content is verified when it is loaded).

    Raises:
        UnknownNameError: no such data set.
    """
    from harness.data import cifar10

    return pick("data set", name, {"cifar10": cifar10.is_present})()


def _loaders() -> dict[str, Callable[..., Dataset]]:
    from harness.data import cifar10

    return {"cifar10": cifar10.load}
