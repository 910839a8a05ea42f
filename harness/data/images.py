"""Batches from images held in memory as uint8, augmented a whole epoch at a time.

Two cores cannot decode and augment image by image and train as well. So the images stay decoded,
and an epoch's crops and flips are copies out of groups of images, each group by a few calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from harness.data.dataset import Part, Samples

if TYPE_CHECKING:
    from harness.tasks.recipe import Recipe


GROUP = 256  # images that are augmented together: their borders stay in the processor's cache


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied.

    Attributes:
        crop_padding: pixels of reflected border; a crop of the original size is taken at random.
        flip: mirror left to right. Each image is mirrored at every second epoch, the first of them
            drawn at random, so that two epochs in a row show both views (Jordan 2024,
            arXiv 2404.00498, section 3.6).
    """

    crop_padding: int = 4
    flip: bool = True


@dataclass(frozen=True)
class ImageDataset:
    """An image set in memory, and how pixels become the network's input.

    Attributes:
        mean, std: per channel, of pixel values in 0…1; computed on the training images.
        content_sha256: of the whole decoded content, as it was verified.
    """

    name: str
    train: Samples
    validation: Samples
    test: Samples
    mean: tuple[float, ...]
    std: tuple[float, ...]
    content_sha256: str

    def loader(self, part: Part, *, batch_size: int, recipe: Recipe | None = None, seed: int = 0) -> ImageLoader:
        """See `harness.data.dataset.Dataset.loader`."""
        augment = Augmentation(recipe.crop_padding, recipe.flip) if recipe else None
        samples: Samples = getattr(self, part)
        return ImageLoader(samples, self.mean, self.std, batch_size=batch_size, augment=augment, seed=seed)

    def without_test(self) -> ImageDataset:
        """The same with an empty test set: what a submission may learn from."""
        return replace(self, test=self.test.subset(np.arange(0)))


def to_input(images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """uint8 `[n, h, w, c]` → normalised float32 `[n, c, h, w]`, in memory still channels last."""
    scale = 1.0 / (255.0 * torch.tensor(std))
    shift = -torch.tensor(mean) / torch.tensor(std)
    return (images.float().mul_(scale).add_(shift)).permute(0, 3, 1, 2)


class ImageLoader:
    """Iterates over `(inputs, labels)`: float32 `[batch, c, h, w]` and int64 `[batch]`.

    Each pass over a training loader shuffles and augments anew, from `seed` and the number of the
    epoch alone, so that a resumed training sees what an unbroken one would have seen. A training
    loader leaves out the last, incomplete batch; without `augment` the order is fixed and all
    samples come.
    """

    def __init__(
        self,
        data: Samples,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        *,
        batch_size: int,
        augment: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.images = torch.from_numpy(data.inputs)
        self.labels = torch.from_numpy(data.labels).long()
        self.mean, self.std = mean, std
        self.batch_size, self.augment, self.seed = batch_size, augment, seed
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in one pass."""
        whole, rest = divmod(len(self.labels), self.batch_size)
        return whole + (1 if rest and self.augment is None else 0)

    @property
    def sample_count(self) -> int:
        """Samples in one pass."""
        return min(len(self) * self.batch_size, len(self.labels))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if self.augment is None:
            images, order = self.images, torch.arange(len(self.labels))
        else:
            rng = np.random.Generator(np.random.PCG64([self.seed, self.epoch]))
            images = augmented(self.images, self.augment, rng, seed=self.seed, epoch=self.epoch)
            order = torch.from_numpy(rng.permutation(len(self.labels)))
            self.epoch += 1
        for batch in range(len(self)):
            index = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield to_input(images[index], self.mean, self.std), self.labels[index]


def augmented(
    images: torch.Tensor, how: Augmentation, rng: np.random.Generator, *, seed: int, epoch: int
) -> torch.Tensor:
    """One epoch's view of `images`, uint8 `[n, h, w, c]`: cropped and flipped copies."""
    n, p = len(images), how.crop_padding
    down, right = np.divmod(rng.integers(0, (2 * p + 1) ** 2, n), 2 * p + 1)
    first = np.random.Generator(np.random.PCG64(seed)).random(n) < 0.5
    mirror = (first ^ bool(epoch % 2)) & how.flip
    pixels, out = images.numpy(), np.empty(images.shape, np.uint8)
    for start in range(0, n, GROUP):
        group = slice(start, start + GROUP)
        view = _crops(pixels[group], p, down[group], right[group])
        flipped = mirror[group]
        view[flipped] = view[flipped][:, :, ::-1]
        out[group] = view
    return torch.from_numpy(out)


def _crops(pixels: np.ndarray, padding: int, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of each image, reflected at its border, the window `down` and `right` of the upper left corner."""
    border = (padding, padding)
    padded = np.pad(pixels, ((0, 0), border, border, (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, pixels.shape[1:3], axis=(1, 2))
    return np.moveaxis(windows, 3, -1)[np.arange(len(pixels)), down, right]
