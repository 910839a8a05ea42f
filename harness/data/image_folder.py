"""Images that stay JPEG files in one folder a class, decoded while they are read.

For sets too large for memory. torch's `DataLoader` decodes them in processes of its own, with
torchvision's transforms; the batches come back as bytes through pipes rather than in shared memory,
of which a container often has 64 MB, and become the network's input here, by the same arithmetic as
for images held in memory.

Evaluation and training see what torchvision's published weights were made with: the shorter side
resized and the centre cut out; a random part of 8 to 100 % of the area, of a shape between 3:4 and
4:3, resized, and half the images mirrored (Szegedy et al. 2015, arXiv 1409.4842, section 6).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from harness.data.dataset import Part, stratified_split
from harness.data.fetch import CorruptDataError
from harness.data.images import to_input
from harness.util.vision import import_torchvision

if TYPE_CHECKING:
    from PIL import Image

    from harness.tasks.recipe import Recipe

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # with which torchvision's weights were trained
MOST_WORKERS = 8
PIECE = 32  # images that a process decodes at a time, so that all of them work on the first batch


@dataclass(frozen=True)
class ImageSizes:
    """Pixels on a side: `resize` of the shorter one before the centre `crop` is cut out."""

    resize: int = 256
    crop: int = 224


@dataclass(frozen=True)
class ImageFiles:
    """Paths relative to `root`, in a fixed order, and the class of each, int64 `[n]`."""

    root: Path
    paths: tuple[str, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, index: np.ndarray) -> ImageFiles:
        return ImageFiles(self.root, tuple(self.paths[i] for i in index), self.labels[index])


def list_images(root: Path, suffixes: tuple[str, ...] = (".jpeg", ".jpg", ".png")) -> ImageFiles:
    """All images of `root/<class>/`, by class and then by name; a class's number is its place in sorted order."""
    paths: list[str] = []
    labels: list[int] = []
    for number, name in enumerate(class_names(root)):
        with os.scandir(root / name) as entries:
            files = sorted(entry.name for entry in entries if entry.name.lower().endswith(suffixes))
        paths += [f"{name}/{file}" for file in files]
        labels += [number] * len(files)
    return ImageFiles(root, tuple(paths), np.asarray(labels, np.int64))


def class_names(root: Path) -> list[str]:
    """The folders in `root`, sorted; hidden ones are left out."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


@dataclass(frozen=True)
class FolderDataset:
    """Training and test images in two folders; validation is held out of the training images.

    The folders are listed when a part is first asked for.

    Attributes:
        held_out: number of training images held out, as many of each class; split_seed: chooses them.
        has_test: False leaves the test set empty.
        workers: decoding processes; None for one a core, at most eight.
    """

    name: str
    train_root: Path
    test_root: Path
    held_out: int
    split_seed: int
    sizes: ImageSizes = ImageSizes()
    has_test: bool = True
    workers: int | None = None
    content_sha256: str | None = None

    @property
    def train(self) -> ImageFiles:
        return self._learning[0]

    @property
    def validation(self) -> ImageFiles:
        return self._learning[1]

    @cached_property
    def test(self) -> ImageFiles:
        return list_images(self.test_root) if self.has_test else ImageFiles(self.test_root, (), np.zeros(0, np.int64))

    @cached_property
    def _learning(self) -> tuple[ImageFiles, ImageFiles]:
        files = list_images(self.train_root)
        kept, held = stratified_split(files.labels, self.held_out, self.split_seed)
        return files.subset(kept), files.subset(held)

    def loader(self, part: Part, *, batch_size: int, recipe: Recipe | None = None, seed: int = 0) -> FolderLoader:
        """See `harness.data.dataset.Dataset.loader`; of the recipe's augmentation only `flip` is heeded."""
        files: ImageFiles = getattr(self, part)
        flip = recipe.flip if recipe else None
        return FolderLoader(files, self.sizes, batch_size=batch_size, flip=flip, seed=seed, workers=self.workers)

    def without_test(self) -> FolderDataset:
        """The same with an empty test set: what a submission may learn from."""
        return replace(self, has_test=False)


class FolderLoader:
    """Iterates over `(inputs, labels)`: float32 `[batch, 3, crop, crop]` and int64 `[batch]`.

    What an image looks like in an epoch depends on the seed, the epoch and the image alone, and not
    on the number of processes. A training loader leaves out the last, incomplete batch.

    Args:
        flip: None for evaluation: a fixed order and centre crops. Otherwise the images are shuffled
            and cropped at random, and mirrored if `flip`.

    Raises:
        CorruptDataError: while iterating, where an image cannot be decoded; names the file.
    """

    def __init__(
        self,
        files: ImageFiles,
        sizes: ImageSizes,
        *,
        batch_size: int,
        flip: bool | None = None,
        seed: int = 0,
        workers: int | None = None,
    ) -> None:
        self.files, self.sizes = files, sizes
        self.batch_size, self.flip, self.seed = batch_size, flip, seed
        self.workers = min(_cores(), MOST_WORKERS) if workers is None else workers
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in one pass."""
        whole, rest = divmod(len(self.files), self.batch_size)
        return whole + (1 if rest and self.flip is None else 0)

    @property
    def sample_count(self) -> int:
        """Samples in one pass."""
        return min(len(self) * self.batch_size, len(self.files))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = np.arange(len(self.files))
        if self.flip is not None:
            order = np.random.Generator(np.random.PCG64([self.seed, self.epoch])).permutation(order)
        decoded = _Decoded(self.files, self.sizes, self.flip, (self.seed, self.epoch))
        if self.flip is not None:
            self.epoch += 1
        batches = [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(len(self))]
        pieces = [batch[i : i + PIECE].tolist() for batch in batches for i in range(0, len(batch), PIECE)]
        import_torchvision()  # here, so that a forked process has it already
        workers = min(self.workers, len(pieces))
        own = torch.Generator()  # or a pass would draw from the random numbers of whoever iterates
        loader = DataLoader(decoded, batch_sampler=pieces, num_workers=workers, collate_fn=_stack, generator=own)
        arriving = iter(loader)
        for batch in batches:
            parts = [next(arriving) for _ in range(0, len(batch), PIECE)]
            pixels, labels = (torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))
            yield to_input(pixels, MEAN, STD), labels


@dataclass(frozen=True)
class _Decoded(torch.utils.data.Dataset):
    """Index → uint8 `[crop, crop, 3]` and label; `flip` as for `FolderLoader`, `draw` is seed and epoch."""

    files: ImageFiles
    sizes: ImageSizes
    flip: bool | None
    draw: tuple[int, int]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        image, label = open_image(self.files.root / self.files.paths[index]), int(self.files.labels[index])
        if self.flip is None:
            return np.asarray(_centre(self.sizes)(image)), label
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(_mixed(*self.draw, index))
            return np.asarray(_random(self.sizes, self.flip)(image)), label


def open_image(path: Path) -> Image.Image:
    """Decode `path` to RGB; grey and CMYK files are among ImageNet's.

    Raises:
        CorruptDataError: it cannot be decoded.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise CorruptDataError(
            f"{path} cannot be decoded as an image: {error}. Unpack it again from its archive."
        ) from error


def _stack(samples: list[tuple[np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray]:
    """A batch as plain arrays, which processes exchange through pipes."""
    return np.stack([pixels for pixels, _ in samples]), np.asarray([label for _, label in samples], np.int64)


def _mixed(seed: int, epoch: int, index: int) -> int:
    """One 64-bit seed of three numbers."""
    return int(np.random.SeedSequence([seed, epoch, index]).generate_state(1, np.uint64)[0])


@cache
def _centre(sizes: ImageSizes) -> Callable[[Any], Any]:
    import_torchvision()
    from torchvision.transforms import v2

    return v2.Compose([v2.Resize(sizes.resize), v2.CenterCrop(sizes.crop)])


@cache
def _random(sizes: ImageSizes, flip: bool) -> Callable[[Any], Any]:
    import_torchvision()
    from torchvision.transforms import v2

    return v2.Compose([v2.RandomResizedCrop(sizes.crop), *([v2.RandomHorizontalFlip()] if flip else [])])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
