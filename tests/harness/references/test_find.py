"""References that do not come with the repository: trained on first use, or published by torchvision."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
import torch

from harness.data.fetch import DataUnavailableError
from harness.models import build_model
from harness.references.find import Missing, cache_folder, find_reference, missing_for
from harness.references.load import reference_module
from harness.run.reference import reference_file
from harness.tasks import load_task
from harness.util.names import UsageError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of references in an empty data cache."""
    monkeypatch.setenv("OPENPRUNE_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = cache_folder()
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def trained():
    """A task of seconds whose reference is trained on first use."""
    task = load_task("digits_mlp")
    origin = replace(task.reference, origin="trained", sha256=None, weights="tiny.safetensors", value=0.9)
    return replace(task, name="tiny", reference=origin, recipe=replace(task.recipe, epochs=20))


def test_a_trained_reference_is_made_once_and_found_again(cache, trained, caplog):
    caplog.set_level("INFO", "harness")
    assert isinstance(find_reference(trained), Missing)
    assert any("openprune train task=tiny" in line for line in missing_for(trained))
    made = reference_file(trained)
    assert "trained once" in caplog.text
    caplog.clear()
    assert reference_file(trained) == made and "trained once" not in caplog.text
    record = json.loads(made.path.with_suffix(".json").read_text())
    assert record["weights_sha256"] == made.sha256 and record["test_accuracy"] >= trained.quality_target


def test_a_reference_of_another_recipe_or_with_changed_bytes_is_refused(cache, trained):
    made = reference_file(trained)
    other = replace(trained, recipe=replace(trained.recipe, learning_rate=0.07, epochs=3))
    with pytest.raises(UsageError, match=r"other: recipe\.epochs, recipe\.learning_rate"):
        reference_file(other)
    made.path.write_bytes(made.path.read_bytes()[:-1] + b"x")
    with pytest.raises(UsageError, match="expected SHA-256"):
        reference_file(trained)


def test_a_training_that_reaches_too_little_says_so(cache, trained):
    task = replace(trained, recipe=replace(trained.recipe, epochs=1, learning_rate=1e-6))
    with pytest.raises(UsageError, match="less than the"):
        reference_file(task)


def test_a_published_reference_is_found_by_the_digits_of_its_hash(cache):
    task = load_task("imagenet_squeezenet")
    file = cache / task.reference.weights
    torch.save(build_model(task.model, seed=3).state_dict(), file)
    with pytest.raises(UsageError, match=f"expected SHA-256 {task.reference.sha256}"):
        reference_file(task)
    digits = hashlib.sha256(file.read_bytes()).hexdigest()
    task = replace(task, reference=replace(task.reference, sha256=digits[:8]))
    found = reference_file(task)
    assert found.sha256 == digits
    loaded = reference_module(task, found.path)
    assert all(
        torch.equal(a, b)
        for a, b in zip(loaded.parameters(), build_model(task.model, seed=3).parameters(), strict=True)
    )


def test_without_network_a_published_reference_says_what_to_put_where(cache, monkeypatch):
    task = load_task("imagenet_alexnet")

    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(DataUnavailableError, match=task.reference.weights):
        reference_file(task)
