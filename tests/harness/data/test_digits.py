from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest

from harness.data import digits, is_present, load_dataset
from harness.data.fetch import DataUnavailableError


def test_the_parts_are_the_same_for_ever_and_of_equal_shares() -> None:
    data = load_dataset("digits", fetch=False)
    assert is_present("digits")
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [1197, 200, 400]
    assert [set(np.bincount(part.labels)) for part in parts[1:]] == [{20}, {40}]
    assert (
        hashlib.sha256(data.test.inputs.tobytes()).hexdigest()
        == "4902ae47c8f41cf870e7b9a9ed57439c64ddef62912aa63191e50f8a651d95d6"
    )


def test_inputs_have_mean_zero_and_variance_one_and_keep_every_count() -> None:
    data = load_dataset("digits")
    inputs, labels = next(iter(data.loader("train", batch_size=2000)))
    assert inputs.shape == (1197, 1, 8, 8)
    assert labels.tolist() == data.train.labels.tolist()
    assert abs(inputs.mean().item()) < 1e-3
    assert inputs.std().item() == pytest.approx(1, abs=1e-3)
    assert np.unique(data.train.inputs).tolist() == [15 * count for count in range(17)]


def test_other_images_and_a_missing_library_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(digits, "CONTENT_SHA256", "0" * 64)
        with pytest.raises(DataUnavailableError, match=f"expected SHA-256 {'0' * 64}, found [0-9a-f]{{64}}"):
            load_dataset("digits")
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataUnavailableError, match="pip install scikit-learn"):
        load_dataset("digits")
