"""Entries and targets for whole runs that take seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.data import load_dataset
from harness.entries.loading import load_submission
from harness.run.pipeline import run
from harness.run.values import Request
from harness.store.store import Store
from harness.tasks import load_task
from hw_targets.target import Available, Measurement, Quantity

ADVERSARIES = Path(__file__).parent.parent / "adversaries"


class CountingTarget:
    """Judges on the model itself and counts its nodes: a target that costs nothing."""

    name = "counting"

    def configuration(self):
        return {}

    def availability(self):
        return Available("an abacus")

    def numerics(self, model, calibration):
        return model

    def measure(self, model, dense, samples, effort, workdir):
        return Measurement({"nodes": Quantity(float(len(model.graph.node)), "1", "measured", "abacus")})


@pytest.fixture(scope="session")
def counting_target():
    """The class of a target that costs nothing."""
    return CountingTarget


@pytest.fixture(scope="session")
def cifar10():
    """CIFAR-10 is there: fetched by the first test that needs it."""
    return load_dataset("cifar10")


@pytest.fixture
def adversary(cifar10, tmp_path):
    """`adversary(name, limit_s=…)` runs one of the corpus and returns its one record."""

    def run_it(name: str, *, limit_s: float = 600, target=None, folder: Path = ADVERSARIES):
        task = load_task("cifar10_resnet20")
        task = replace(task, budget=replace(task.budget, compress_s=limit_s))
        request = Request(task, load_submission(name, {}, folder), (target or CountingTarget(),))
        (record,) = run(request, Store(tmp_path / "runs")).records
        return record

    return run_it
