"""A task that trains in a fraction of a second: 90 noisy images, and a network without batch norm.

As a script, `python tiny.py FOLDER EPOCHS`, it is one process of a training; the environment says
which one, as `torchrun` would.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import nn

from harness.data.dataset import Samples
from harness.data.images import ImageDataset
from harness.references.train import ReferenceFiles, train_reference
from harness.tasks import load_task
from harness.tasks.recipe import Recipe

RECIPE = Recipe(epochs=3, batch_size=9, learning_rate=0.05, crop_padding=1, clip_norm=0.5, bfloat16=False)


def dataset() -> ImageDataset:
    """Three classes, told apart by their brightness."""
    rng = np.random.default_rng(0)

    def samples(n: int) -> Samples:
        labels = np.arange(n) % 3
        images = 60 * labels[:, None, None, None] + rng.integers(0, 60, (n, 6, 6, 3))
        return Samples(images.astype(np.uint8), labels.astype(np.uint8))

    return ImageDataset("tiny", samples(90), samples(30), samples(30), (0.4,) * 3, (0.2,) * 3, "")


def network(name: str, *, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


def train(folder: Path, **changes: object) -> ReferenceFiles:
    """`train_reference` of the tiny task, its recipe changed by `changes`."""
    task = replace(load_task("cifar10_resnet20"), name="tiny", title="Tiny", recipe=replace(RECIPE, **changes))
    place = "harness.references.train"
    with (
        mock.patch(f"{place}.load_dataset", lambda name: dataset()),
        mock.patch(f"{place}.initial_model", network),
    ):
        return train_reference(task, folder, threads=1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    train(Path(sys.argv[1]), epochs=int(sys.argv[2]))
