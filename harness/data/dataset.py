"""A labelled image set in memory, and its fixed split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Images:
    """Images uint8 `[n, height, width, channels]` with labels uint8 `[n]`."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, index: np.ndarray) -> Images:
        return Images(self.images[index], self.labels[index])


@dataclass(frozen=True)
class ImageDataset:
    """Three parts that share no image, and how pixels become the network's input.

    Attributes:
        mean, std: per channel, of pixel values in 0…1; computed on the training images.
        content_sha256: of the whole decoded content, as it was verified.
    """

    name: str
    train: Images
    validation: Images
    test: Images
    mean: tuple[float, ...]
    std: tuple[float, ...]
    content_sha256: str

    def without_test(self) -> ImageDataset:
        """The same with an empty test set: what an entry may learn from."""
        return replace(self, test=self.test.subset(np.arange(0)))


def content_hash(*parts: Images) -> str:
    """SHA-256 over shape, pixels and labels of each part in turn: equal content, equal hash."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part.images.shape).encode())
        digest.update(np.ascontiguousarray(part.images).data)
        digest.update(np.ascontiguousarray(part.labels).data)
    return digest.hexdigest()


def stratified_split(labels: np.ndarray, held_out: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split indices so that `held_out` of them hold every class equally often.

    Returns:
        Sorted indices of the remaining and of the held-out samples.

    Raises:
        ValueError: `held_out` is not a multiple of the number of classes.
    """
    classes = np.unique(labels)
    each, rest = divmod(held_out, len(classes))
    if rest:
        raise ValueError(f"{held_out} samples cannot be shared equally by {len(classes)} classes")
    rng = np.random.Generator(np.random.PCG64(seed))
    chosen = [rng.permutation(np.flatnonzero(labels == c))[:each] for c in classes]
    held = np.sort(np.concatenate(chosen))
    kept = np.setdiff1d(np.arange(len(labels)), held)
    return kept, held
