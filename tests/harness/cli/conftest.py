"""Records, a store that holds them, and targets that are there or not, as a test wants it."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from harness.store.quality import Quality
from harness.store.records import Compression, Record
from harness.store.store import Store
from hw_targets.target import Available, Quantity, Unavailable


def make_record(number: int, **changed: Any) -> Record:
    """A valid record; `number` makes its id and the time it was made."""
    fields: dict[str, Any] = {
        "id": f"{number:020x}",
        "run": f"run{number}",
        "created": f"2026-01-{number + 1:02d}T00:00:00Z",
        "task": "cifar10_resnet20",
        "task_version": 1,
        "submission": "magnitude",
        "target": "cpu",
        "seed": 0,
        "repeat": 0,
        "effort": "quick",
        "verdict": "valid",
        "compression": Compression(f"key{number}", 1.0, 0, "0" * 64),
        "quality": Quality("top1_accuracy", 0.91, 0.92, 0.9108, -0.01, -0.015, -0.005, 10_000),
        "quantities": {"latency_p50_ns": Quantity(1e6 * (number + 1), "ns", "measured", "a clock")},
        "samples": {"latency_ns": [1e6 * (number + 1) + i for i in range(20)]},
        "environment": {"machine_fingerprint": "abc"},
    }
    return Record(**{**fields, **changed})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The default store of this test: three submissions on one task and target."""
    monkeypatch.setenv("OPENPRUNE_STORE", str(tmp_path / "runs"))
    made = Store(tmp_path / "runs")
    for number, name in enumerate(("dense", "magnitude", "channel_l1")):
        made.write(make_record(number, submission=name))
    return made


@pytest.fixture
def targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of two targets, one of which this machine lacks."""
    states = {"cpu": Available("Demo CPU"), "gpu_2to4": Unavailable("no CUDA device")}
    registry: Any = types.ModuleType("hw_targets.registry")
    registry.target_names = lambda: sorted(states)
    registry.make_target = lambda name, options: types.SimpleNamespace(availability=lambda: states[name])
    monkeypatch.setitem(sys.modules, "hw_targets.registry", registry)
