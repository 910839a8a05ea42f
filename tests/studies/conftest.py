"""The smallest task there is, loaded once, and settings that make a cell of any study take a moment."""

import pytest

from studies import find_study
from studies.lab import Lab

TINY = {
    "epochs": 1,
    "prepare_epochs": 1,
    "steps": 1,
    "rounds": 1,
    "rewind_steps": 0,
    "episodes": 2,
    "short_term": 0,
    "batches": 1,
    "ratios": [0.0, 0.5],
    "overall": [0.4],
    "compressions": [4],
    "bits": [3],
    "pruned": [0.0, 0.5],
    "prune_epochs": 1,
    "tries": 1,
}


@pytest.fixture(scope="session")
def lab():
    return Lab.open("digits_mlp")


@pytest.fixture
def tiny():
    """`study name → (study, tiny settings)`."""

    def of(name):
        study = find_study(name)
        settings = study.settings_for("digits_mlp")
        return study, {key: TINY.get(key, value) for key, value in settings.items()}

    return of
