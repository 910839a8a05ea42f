"""Data sets: fetched once, verified by the hash of their decoded content, shared by all runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from harness.util.names import pick

if TYPE_CHECKING:
    from harness.data.dataset import Dataset


# Each module has the functions of `DatasetModule`; nothing of them is imported until needed.
MODULES = {
    "cifar10": "harness.data.cifar10",
    "mnist": "harness.data.mnist",
    "digits": "harness.data.digits",
    "imagenet": "harness.data.imagenet",
    "rotten_tomatoes": "harness.data.rotten_tomatoes",
    "sst2": "harness.data.sst2",
}


class DatasetModule(Protocol):
    """What the module of a data set offers."""

    def load(self, *, fetch: bool = True) -> Dataset: ...

    def is_present(self) -> bool: ...

    def where(self) -> Path: ...


def data_root() -> Path:
    """Where data sets live: `$OPENPRUNE_DATA`, by default `openprune` in the user's cache folder."""
    import os

    if configured := os.environ.get("OPENPRUNE_DATA"):
        return Path(configured).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "openprune"


def load_dataset(name: str, *, fetch: bool = True) -> Dataset:
    """Load data set `name`.

    Args:
        fetch: get it from its sources where it is not there yet.

    Raises:
        UnknownNameError: no such data set.
        DataUnavailableError: not there, and no source could give it.
    """
    return _module(name).load(fetch=fetch)


def dataset_names() -> list[str]:
    """Names of all data sets, sorted."""
    return sorted(MODULES)


def is_present(name: str) -> bool:
    """Whether data set `name` is there already (its content is verified when it is loaded).

    Raises:
        UnknownNameError: no such data set.
    """
    return _module(name).is_present()


def where(name: str) -> Path:
    """The folder of data set `name`, whether it is there or not.

    Raises:
        UnknownNameError: no such data set.
    """
    return _module(name).where()


def _module(name: str) -> DatasetModule:
    from importlib import import_module

    return cast("DatasetModule", import_module(pick("data set", name, MODULES)))
