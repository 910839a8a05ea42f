"""Handwritten digits as scikit-learn brings them: 1,797 images of 8×8 pixels, nothing to download.

They are the test part of the UCI set of Alpaydin & Kaynak (1998), "Optical Recognition of
Handwritten Digits": each pixel counts the ink in a block of 4×4, 0 to 16. A task on them takes
seconds, which makes it one to try things on and none to draw conclusions from: the parts share
their 13 writers, and one of the 400 test images is a quarter of a percentage point.

The counts are stored times 15, so that 0 to 16 becomes 0 to 240 without rounding and the images
look like others of eight bits. `ImageLoader` takes pixel/255 − mean over std; as mean and std are
those of the stored training pixels over 255, the factor cancels, and the network sees the counts
with mean 0 and variance 1.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from harness.data.dataset import Samples, content_hash, stratified_split
from harness.data.fetch import DataUnavailableError
from harness.data.images import ImageDataset

CONTENT_SHA256 = "a76e103af8344eaa290ae0160a1643c215dc576ab675d0f421b03af75a386e53"
SPLIT_SEED = 19980701  # July 1998, when the set was given to the UCI repository
TEST_SIZE, VALIDATION_SIZE = 400, 200
INK_STEP = 15
MEAN, STD = (0.2869,), (0.3536,)


def where() -> Path:
    """The folder of scikit-learn."""
    spec = importlib.util.find_spec("sklearn")
    return Path(spec.origin).parent if spec and spec.origin else Path("scikit-learn, which is not installed")


def is_present() -> bool:
    """Whether scikit-learn, which holds the images, is installed."""
    return importlib.util.find_spec("sklearn") is not None


def load(*, fetch: bool = True) -> ImageDataset:
    """Load the digits: 1,197 to train, 200 to validate and 400 to test, the last two with equal shares.

    Args:
        fetch: makes no difference: there is nothing to fetch.

    Raises:
        DataUnavailableError: scikit-learn is not installed, or brings other images.
    """
    samples = _read()
    found = content_hash(samples)
    if found != CONTENT_SHA256:
        raise DataUnavailableError(
            f"scikit-learn's digits are not those that results are about: expected SHA-256 {CONTENT_SHA256}, "
            f"found {found}. Install another version: pip install 'scikit-learn>=1.5'"
        )
    learn, test = stratified_split(samples.labels, TEST_SIZE, SPLIT_SEED)
    learning = samples.subset(learn)
    kept, held = stratified_split(learning.labels, VALIDATION_SIZE, SPLIT_SEED)
    return ImageDataset(
        "digits", learning.subset(kept), learning.subset(held), samples.subset(test), MEAN, STD, CONTENT_SHA256
    )


def _read() -> Samples:
    """All images, uint8 `[1797, 8, 8, 1]`, in scikit-learn's order."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise DataUnavailableError(
            "The digits come with scikit-learn, which is not installed: pip install scikit-learn"
        ) from error
    bunch = load_digits()
    images = (bunch.images * INK_STEP).astype(np.uint8)
    return Samples(np.ascontiguousarray(images[..., None]), bunch.target.astype(np.uint8))
