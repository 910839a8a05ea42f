"""A context that is as small as it can be: it records how the submission trains."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

SUBMISSIONS = Path(__file__).resolve().parents[2] / "submissions"


class FakeContext:
    def __init__(self, config, inputs):
        self.config, self.seed, self.trainings = config, 0, []
        self.recipe = SimpleNamespace(learning_rate=0.3)
        self.learning_rate = config.get("learning_rate_factor", 1.0) * self.recipe.learning_rate
        self.data = SimpleNamespace(sample=inputs, train=[(inputs, torch.arange(len(inputs)) % 2)])

    def train(self, model, *, epochs, learning_rate=None, mask=None, teacher=None, loss=None):
        how = {"epochs": epochs, "learning_rate": learning_rate, "mask": mask, "teacher": teacher, "loss": loss}
        self.trainings.append(how)
        return model


@pytest.fixture
def compress():
    """`(entry name, model, **overrides) → (what the submission returned, the context it used)`."""

    def run(name, model, inputs=None, **overrides):
        if inputs is None:
            inputs = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        folder = SUBMISSIONS / name
        spec = importlib.util.spec_from_file_location("submission", folder / "submission.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        context = FakeContext({**yaml.safe_load((folder / "config.yaml").read_text()), **overrides}, inputs)
        return module.Submission().compress(model, context), context

    return run
