"""Making a reference: it goes on where it stopped, says why it cannot, and never trains twice."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file

from harness.tasks.recipe import Recipe
from harness.training.checkpoint import differences
from harness.training.loop import Trainer
from harness.util.names import UsageError


def test_a_finished_training_is_not_done_again(tiny, tmp_path, monkeypatch):
    first = tiny.train(tmp_path)
    weights, record = first.weights.read_bytes(), json.loads(first.record.read_text())
    assert len(record["curve"]) == 3 and (record["processes"], record["device"]) == (1, "cpu")
    assert record["curve"][-1]["validation_accuracy"] > record["curve"][0]["validation_accuracy"]
    first.weights.unlink()
    monkeypatch.setattr(Trainer, "run_epoch", lambda self: pytest.fail("it trains again"))
    again = tiny.train(tmp_path)
    assert again.weights.read_bytes() == weights
    assert json.loads(again.record.read_text())["curve"] == record["curve"]


def test_a_killed_training_goes_on_and_ends_where_an_unbroken_one_does(tiny, tmp_path, monkeypatch):
    whole = tiny.train(tmp_path / "whole")
    run_epoch = Trainer.run_epoch

    def interrupted(self):
        if len(self.curve) == 2:
            raise KeyboardInterrupt
        return run_epoch(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "run_epoch", interrupted)
        tiny.train(tmp_path / "broken")
    assert not (tmp_path / "broken" / "tiny.json").exists()
    broken = tiny.train(tmp_path / "broken")
    expected, found = load_file(whole.weights), load_file(broken.weights)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("damage", ["truncated", "cut near the start", "empty", "noise", "another file"])
def test_a_damaged_checkpoint_is_named(tiny, tmp_path, damage):
    tiny.train(tmp_path, epochs=1)
    checkpoint = tmp_path / "tiny.checkpoint.pt"
    whole = checkpoint.read_bytes()
    content = {
        "truncated": whole[: len(whole) // 2],
        "cut near the start": whole[:500],
        "empty": b"",
        "noise": bytes(range(256)) * 20,
    }
    if damage == "another file":
        torch.save({"model": {}}, checkpoint)
    else:
        checkpoint.write_bytes(content[damage])
    with pytest.raises(UsageError, match=r"Delete tiny\.checkpoint\.pt"):
        tiny.train(tmp_path, epochs=1)


def test_another_configuration_is_refused_field_by_field(tiny, tmp_path):
    tiny.train(tmp_path, epochs=1)
    with pytest.raises(UsageError) as refused:
        tiny.train(tmp_path, epochs=2, optimizer="adamw")
    assert "recipe.epochs is 1 there and 2 now" in str(refused.value)
    assert "recipe.optimizer is 'sgd' there and 'adamw' now" in str(refused.value)
    assert "batch_size" not in str(refused.value)


def test_a_checkpoint_older_than_a_field_counts_as_made_with_its_default():
    now = {"task": "tiny", "seed": 0, "recipe": asdict(Recipe(epochs=3))}
    old = {**now, "recipe": {name: now["recipe"][name] for name in ("epochs", "batch_size", "learning_rate")}}
    assert differences(old, now) == []
    clipped = {**now, "recipe": asdict(Recipe(epochs=3, clip_norm=1.0))}
    assert differences(old, clipped) == ["recipe.clip_norm is None there and 1.0 now"]


def test_a_checkpoint_of_another_network_is_refused(tiny, tmp_path, monkeypatch):
    tiny.train(tmp_path, epochs=1)
    monkeypatch.setattr(tiny, "network", lambda name, seed: torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3)))
    with pytest.raises(UsageError, match="does not fit the network"):
        tiny.train(tmp_path, epochs=1)


def test_the_curve_is_a_page_that_needs_nothing_else(tiny, tmp_path):
    page = tiny.train(tmp_path).curve.read_text()
    assert all(name in page for name in ("training loss", "validation accuracy", "learning rate"))
    assert "<script src=" not in page and "plotly.js" in page
