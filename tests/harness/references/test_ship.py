"""Half precision is kept where it judges the same, and only there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.references import ship as shipping
from harness.references.find import SHIPPED
from harness.references.load import reference_module
from harness.references.ship import half_precision, ship
from harness.references.train import train_reference
from harness.run.reference import judge_reference
from harness.tasks import load_task
from harness.util.files import sha256_of_file


@pytest.fixture
def task():
    task = load_task("digits_mlp")
    return replace(task, recipe=replace(task.recipe, epochs=3))


def test_a_trained_reference_is_rounded_judged_and_recorded(task, tmp_path: Path, capsys) -> None:
    trained = train_reference(task, tmp_path / "trained")
    shipped = ship(task, tmp_path / "trained", tmp_path / "shipped", judge_reference)
    record = json.loads(shipped.record.read_text())
    weights = load_file(shipped.weights)
    assert shipped.half and {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert shipped.weights.stat().st_size < 0.6 * trained.weights.stat().st_size
    assert record["weights_sha256"] == shipped.sha256 == sha256_of_file(shipped.weights)
    assert record["test_accuracy"] == shipped.test_accuracy > 0.5
    assert abs(record["test_accuracy"] - record["test_accuracy_float32"]) <= shipping.TOLERANCE
    assert f"sha256: {shipped.sha256}\n  value: {shipped.test_accuracy:g}" in capsys.readouterr().out
    assert next(reference_module(task, shipped.weights).parameters()).dtype == torch.float32


def test_rounding_that_costs_accuracy_is_not_kept(task, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "digits_mlp.json").write_text("{}")
    exact = reference_module(task, SHIPPED / "digits_mlp.safetensors").state_dict()
    save_file(exact, tmp_path / "digits_mlp.safetensors")
    monkeypatch.setattr(shipping, "half_precision", lambda weights: {n: (t * 0).half() for n, t in weights.items()})
    shipped = ship(task, tmp_path, tmp_path / "shipped", judge_reference)
    assert not shipped.half
    assert sha256_of_file(shipped.weights) == sha256_of_file(tmp_path / "digits_mlp.safetensors")
    assert shipped.test_accuracy == load_task("digits_mlp").reference.value


def test_integers_stay_and_what_does_not_fit_is_refused() -> None:
    rounded = half_precision({"weight": torch.tensor([1.0, -0.1]), "batches": torch.tensor(70_000)})
    assert (rounded["weight"].dtype, rounded["batches"].item()) == (torch.float16, 70_000)
    with pytest.raises(ValueError, match="running_var holds values above 65504"):
        half_precision({"running_var": torch.tensor([1e5])})
