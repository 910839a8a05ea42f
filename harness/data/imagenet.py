"""ImageNet (Russakovsky et al. 2015, arXiv 1409.0575): 1,281,167 training images of 1,000 classes.

Its licence lets nobody pass it on, so nothing is fetched: the folders `train` and `val`, with one
folder a class in each, must be there. 10,000 training images, ten of each class, are held out once
and for all for validation; the test set is the 50,000 images that ImageNet calls its validation set,
as everywhere in the literature. Published weights were trained on all training images, so on the
10,000 they look better than they are: compare submissions there, and judge on the test set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.data import data_root
from harness.data.fetch import DataUnavailableError
from harness.data.image_folder import FolderDataset, class_names

SPLIT_SEED = 20090620  # the first day of CVPR 2009, where ImageNet was presented
SHOWN = 3  # of what is missing, by name


@dataclass(frozen=True)
class Layout:
    """What must be there, in counts."""

    classes: int = 1000
    test_images_per_class: int = 50
    held_out: int = 10_000


IMAGENET = Layout()


def where() -> Path:
    """Where ImageNet lies: `$OPENPRUNE_IMAGENET`, by default `imagenet` beside the other data sets."""
    if configured := os.environ.get("OPENPRUNE_IMAGENET"):
        return Path(configured).expanduser()
    return data_root() / "imagenet"


def is_present() -> bool:
    """Whether both folders are there (what is in them is checked by `load`)."""
    return all((where() / part).is_dir() for part in ("train", "val"))


def load(*, fetch: bool = True) -> FolderDataset:
    """The local ImageNet, its layout checked; images are decoded when they are read.

    Args:
        fetch: makes no difference: nobody may download it for you.

    Raises:
        DataUnavailableError: it is not there, or not complete; says what is missing and what to do.
    """
    return load_folder(where(), IMAGENET)


def load_folder(where: Path, layout: Layout) -> FolderDataset:
    """An image set of `layout` in `where/train` and `where/val`.

    Raises:
        DataUnavailableError: see `load`.
    """
    wrong = list(problems(where, layout))
    if wrong:
        raise DataUnavailableError(
            f"ImageNet is not ready in {where}:\n" + "\n".join(f"  - {line}" for line in wrong) + f"\n{_advice(where)}"
        )
    return FolderDataset("imagenet", where / "train", where / "val", layout.held_out, SPLIT_SEED)


def problems(where: Path, layout: Layout) -> Iterator[str]:
    """What is missing in `where` for it to hold `layout`, one sentence each; nothing where all is well.

    The training images are not counted: listing 1.3 million files takes too long for each start.
    """
    names = {}
    for part in ("train", "val"):
        folder = where / part
        if not folder.is_dir():
            yield f"{folder} is missing"
            continue
        names[part] = class_names(folder)
        if len(names[part]) != layout.classes:
            loose = " The images lie in it unsorted." if not names[part] and _count(folder) else ""
            yield f"{folder} holds {len(names[part]):,} class folders, not {layout.classes:,}.{loose}"
    if len(names) < 2:
        return
    if odd := sorted(set(names["train"]) ^ set(names["val"])):
        yield f"{len(odd)} class folders are in one of train and val only: {_some(odd)}"
    if empty := [name for name in names["train"] if not _any_file(where / "train" / name)]:
        yield f"{len(empty)} class folders of train are empty: {_some(empty)}"
    counts = {name: _count(where / "val" / name) for name in names["val"]}
    if short := [f"{name} ({n})" for name, n in counts.items() if n != layout.test_images_per_class]:
        yield (
            f"{len(short)} class folders of val do not hold {layout.test_images_per_class} images each: {_some(short)}"
        )


def _advice(where: Path) -> str:
    return (
        "ImageNet cannot be downloaded for you. Sign up at https://image-net.org, get the training and validation\n"
        "images of ILSVRC 2012 (ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar) and its development kit, and lay\n"
        "them out with one folder a class, named after the class's WordNet id:\n"
        f"  {where / 'train' / 'n01440764' / 'n01440764_10026.JPEG'} …\n"
        f"  {where / 'val' / 'n01440764' / 'ILSVRC2012_val_00000293.JPEG'} …\n"
        "The archive of validation images is not sorted by class. torchvision sorts both: put the three archives into\n"
        f"{where} and run\n"
        f'  python -c "from harness.util.vision import import_torchvision as t; '
        f"[t().datasets.ImageNet('{where}', part) for part in ('train', 'val')]\"\n"
        "If it lies elsewhere already, set OPENPRUNE_IMAGENET to that folder."
    )


def _count(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(not entry.name.startswith(".") and entry.is_file() for entry in entries)


def _any_file(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(not entry.name.startswith(".") for entry in entries)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
