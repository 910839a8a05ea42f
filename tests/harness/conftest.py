"""Records that look like real ones, and a task of seconds."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from harness.store.records import Record


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    """`make_record(submission=…, target=…, …)`: see `builders.build_record`."""
    spec = importlib.util.spec_from_file_location("builders", Path(__file__).with_name("builders.py"))
    assert spec is not None and spec.loader is not None
    builders = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builders)
    return builders.build_record


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """See `tiny.py`."""
    spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
