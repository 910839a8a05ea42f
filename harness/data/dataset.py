"""What a data set is: samples in three parts, a hash of their content, and batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

    from harness.tasks.recipe import Recipe


Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Samples:
    """Labelled samples in memory, as they are stored: labels uint8 or int64 `[n]`.

    Attributes:
        inputs: uint8 images `[n, height, width, channels]`, or int32 token ids `[n, length]`.
    """

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, index: np.ndarray) -> Samples:
        return Samples(self.inputs[index], self.labels[index])


class Loader(Protocol):
    """Batches of `(inputs, labels)`, as the network takes them; labels int64 `[batch]`.

    Attributes:
        epoch: number of the next pass. A training loader shuffles and augments each pass anew, from
            its seed and this number alone, so that a resumed training sees what an unbroken one
            would have seen.
    """

    epoch: int

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]: ...

    def __len__(self) -> int:
        """Batches in one pass."""
        ...

    @property
    def sample_count(self) -> int:
        """Samples in one pass."""
        ...


class Dataset(Protocol):
    """Three parts that share no sample; each kind of data set makes its own batches."""

    @property
    def name(self) -> str: ...

    @property
    def content_sha256(self) -> str | None:
        """Of the whole decoded content, as it was verified; None where it is too large to hash at each start."""
        ...

    @property
    def train(self) -> Sized: ...

    @property
    def validation(self) -> Sized: ...

    @property
    def test(self) -> Sized: ...

    def loader(self, part: Part, *, batch_size: int, recipe: Recipe | None = None, seed: int = 0) -> Loader:
        """Batches of one part.

        Args:
            recipe: shuffle, augment as this recipe says, and leave out the last incomplete batch:
                for training. Without it the order is fixed and all samples come.
        """
        ...

    def without_test(self) -> Dataset:
        """The same with an empty test set: what a submission may learn from."""
        ...


def content_hash(*parts: Samples) -> str:
    """SHA-256 over shape, inputs and labels of each part in turn: equal content, equal hash."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part.inputs.shape).encode())
        digest.update(np.ascontiguousarray(part.inputs).data)
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
