"""A folder data set, on three classes of tiny JPEGs."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from harness.data import imagenet, load_dataset
from harness.data.fetch import CorruptDataError, DataUnavailableError
from harness.data.image_folder import FolderDataset, FolderLoader, ImageFiles, ImageSizes, list_images
from harness.data.imagenet import Layout, load_folder
from harness.tasks.recipe import Recipe

CLASSES = ("n01440764", "n01443537", "n01484850")
LAYOUT = Layout(classes=3, test_images_per_class=2, held_out=6)
SIZES = ImageSizes(resize=20, crop=16)
RECIPE = Recipe(epochs=1, flip=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """13 training and 2 test images a class, of several shapes and modes."""
    root, rng = tmp_path_factory.mktemp("imagenet"), np.random.default_rng(0)
    for part, count in (("train", 13), ("val", 2)):
        for name in CLASSES:
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                shape = (24, 40, 3) if number % 2 else (40, 24, 3)
                image = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
                image.convert(("RGB", "L", "CMYK")[number % 3]).save(root / part / name / f"{name}_{number}.JPEG")
    return root


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "imagenet"))


def small(root: Path, workers: int = 0) -> FolderDataset:
    return FolderDataset("tiny", root / "train", root / "val", 6, 1, SIZES, workers=workers)


def all_of(loader: FolderLoader) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, labels = zip(*loader, strict=True)
    return torch.cat(inputs), torch.cat(labels)


def test_the_parts_share_no_image_and_validation_has_equal_shares(made: Path) -> None:
    data = load_folder(made, LAYOUT)
    assert data.content_sha256 is None
    assert [len(part) for part in (data.train, data.validation, data.test)] == [33, 6, 6]
    assert np.bincount(data.validation.labels).tolist() == [2, 2, 2]
    assert not set(data.train.paths) & set(data.validation.paths)
    hidden = data.without_test()
    assert len(hidden.test) == 0
    assert hidden.validation.paths == data.validation.paths
    for path, label in zip(data.train.paths, data.train.labels, strict=True):
        assert path.startswith(CLASSES[label])


def test_evaluation_cuts_the_centre_and_normalises(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[2:18, 12:28] = (255, 0, 51)
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "x.png")
    inputs, labels = all_of(FolderLoader(list_images(tmp_path), SIZES, batch_size=4, workers=0))
    assert inputs.shape == (1, 3, 16, 16)
    assert (inputs.dtype, labels.tolist()) == (torch.float32, [0])
    expected = torch.tensor([(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225])
    assert torch.allclose(inputs, expected.view(1, 3, 1, 1).expand_as(inputs), atol=1e-5)


def test_all_test_images_come_in_order_and_a_training_pass_takes_each_once(made: Path) -> None:
    data = small(made)
    plain = data.loader("test", batch_size=4)
    _, labels = all_of(plain)
    assert (labels.tolist(), len(plain), plain.sample_count) == ([0, 0, 1, 1, 2, 2], 2, 6)
    training = data.loader("train", batch_size=5, recipe=RECIPE)
    batches = [labels for _, labels in training]
    assert [len(batch) for batch in batches] == [5] * 6
    assert (len(training), training.sample_count) == (6, 30)
    shuffled = torch.cat(batches)
    assert not torch.equal(shuffled, shuffled.sort().values)
    assert shuffled.bincount().max() <= 11


def test_an_epoch_depends_on_seed_and_number_alone_and_not_on_the_processes(made: Path) -> None:
    def loader(workers: int, seed: int = 5) -> FolderLoader:
        return small(made, workers).loader("train", batch_size=33, recipe=RECIPE, seed=seed)

    unbroken, resumed = loader(0), loader(2)
    torch.manual_seed(7)
    first, second = all_of(unbroken), all_of(unbroken)
    after = torch.rand(1)
    resumed.epoch = 1
    again = all_of(resumed)
    assert torch.equal(second[0], again[0]) and torch.equal(second[1], again[1])
    assert not torch.equal(first[0], second[0])
    assert not torch.equal(first[0], all_of(loader(0, seed=6))[0])
    torch.manual_seed(7)
    assert torch.equal(after, torch.rand(1))  # the submission's own random numbers are left alone


def test_large_batches_are_pieced_together_in_order(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = all_of(small(made).loader("train", batch_size=33))
    monkeypatch.setattr("harness.data.image_folder.PIECE", 4)
    pieces = small(made, workers=2).loader("train", batch_size=10)
    assert [len(labels) for _, labels in pieces] == [10, 10, 10, 3]
    assert torch.equal(all_of(pieces)[0], whole[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, workers: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.JPEG").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    files = ImageFiles(tmp_path, ("a/broken.JPEG",), np.zeros(1, np.int64))
    with pytest.raises(CorruptDataError, match=r"broken\.JPEG cannot be decoded"):
        all_of(FolderLoader(files, SIZES, batch_size=1, workers=workers))


def test_what_is_missing_is_said(folder: Path) -> None:
    def message() -> str:
        with pytest.raises(DataUnavailableError) as caught:
            load_folder(folder, LAYOUT)
        return str(caught.value)

    (folder / "val" / CLASSES[1] / f"{CLASSES[1]}_0.JPEG").unlink()
    assert f"1 class folders of val do not hold 2 images each: {CLASSES[1]} (1)" in message()
    for file in (folder / "train" / CLASSES[2]).iterdir():
        file.unlink()
    assert f"1 class folders of train are empty: {CLASSES[2]}" in message()
    (folder / "val" / CLASSES[0]).rename(folder / "val" / "n99999999")
    assert f"2 class folders are in one of train and val only: {CLASSES[0]}, n99999999" in message()
    shutil.rmtree(folder / "val")
    (folder / "val").mkdir()
    (folder / "val" / "ILSVRC2012_val_00000001.JPEG").touch()
    assert f"{folder / 'val'} holds 0 class folders, not 3. The images lie in it unsorted." in message()
    shutil.rmtree(folder / "train")
    assert f"{folder / 'train'} is missing" in message()


def test_without_imagenet_it_says_at_once_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENPRUNE_IMAGENET", str(tmp_path / "nowhere"))
    assert not imagenet.is_present()
    began = time.monotonic()
    with pytest.raises(DataUnavailableError) as caught:
        load_dataset("imagenet", fetch=True)
    assert time.monotonic() - began < 1
    for part in (f"{tmp_path / 'nowhere' / 'train'} is missing", "image-net.org", "not sorted", "OPENPRUNE_IMAGENET"):
        assert part in str(caught.value)
    monkeypatch.delenv("OPENPRUNE_IMAGENET")
    monkeypatch.setenv("OPENPRUNE_DATA", str(tmp_path / "data"))
    assert imagenet.where() == tmp_path / "data" / "imagenet"


def test_a_thousand_classes_are_checked_quickly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for number in range(1000):
        for part, count in (("train", 1), ("val", 5)):
            place = tmp_path / part / f"n{number:08d}"
            place.mkdir(parents=True)
            for image in range(count):
                os.link(tmp_path / "file", place / f"{image}.JPEG")
    began = time.process_time()
    load_folder(tmp_path, Layout(test_images_per_class=5))
    assert time.process_time() - began < 1
