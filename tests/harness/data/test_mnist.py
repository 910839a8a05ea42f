"""MNIST in both layouts, from tiny made files; the real set's split and figures."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest

from harness.data import is_present, load_dataset, mnist
from harness.data.dataset import Samples, content_hash, stratified_split
from harness.data.fetch import CorruptDataError, DataUnavailableError, HttpSource

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
NPZ, NPM = mnist.SOURCES


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def arrays() -> tuple[np.ndarray, ...]:
    """40 training and 8 test images of four digits."""
    rng = np.random.default_rng(0)
    images, test = (rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for n in (40, 8))
    return images, np.arange(40, dtype=np.uint8) % 4, test, np.arange(8, dtype=np.uint8) % 4


@pytest.fixture
def expected(arrays) -> tuple[Samples, Samples]:
    return Samples(arrays[0][..., None], arrays[1]), Samples(arrays[2][..., None], arrays[3])


@pytest.fixture
def npz(arrays) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **dict(zip(("x_train", "y_train", "x_test", "y_test"), arrays, strict=True)))
    return out.getvalue()


@pytest.fixture
def npm(arrays, pack) -> bytes:
    return pack({f"package/data/{name}": idx(array) for name, array in zip(NAMES, arrays, strict=True)})


@pytest.fixture
def folder(tmp_path: Path, expected, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for which the made images are MNIST."""
    monkeypatch.setenv("OPENPRUNE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(mnist, "CONTENT_SHA256", content_hash(*expected))
    monkeypatch.setattr(mnist, "VALIDATION_SIZE", 8)
    made = tmp_path / "data" / "mnist"
    made.mkdir(parents=True)
    return made


@pytest.mark.parametrize("layout", ["npz", "npm"])
def test_both_layouts_give_the_same_images(folder: Path, expected, npz: bytes, npm: bytes, layout: str) -> None:
    file = folder / "archive"
    file.write_bytes(npz if layout == "npz" else npm)
    mnist.stored().accept(file, NPZ if layout == "npz" else NPM)
    data = load_dataset("mnist", fetch=False)
    assert is_present("mnist")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [32, 8, 8]
    assert np.bincount(data.validation.labels).tolist() == [2, 2, 2, 2]
    np.testing.assert_array_equal(data.test.inputs, expected[1].inputs)
    inputs, labels = next(iter(data.loader("test", batch_size=8)))
    assert inputs.shape == (8, 1, 28, 28)
    assert labels.tolist() == expected[1].labels.tolist()
    pixel = (float(expected[1].inputs[0, 3, 5, 0]) / 255 - mnist.MEAN[0]) / mnist.STD[0]
    assert inputs[0, 0, 3, 5].item() == pytest.approx(pixel, abs=1e-5)


@pytest.mark.parametrize("damage", ["header", "middle", "end", "other type"])
@pytest.mark.parametrize("layout", ["npz", "npm"])
def test_a_damaged_file_is_called_corrupt(
    folder: Path, arrays, npz: bytes, npm: bytes, pack, layout: str, damage: str
) -> None:
    content = bytearray(npz if layout == "npz" else npm)
    if damage == "end":
        del content[len(content) // 2 :]
    elif damage == "other type":  # floats in place of bytes
        content = bytearray(pack({f"package/data/{name}": b"\0\0\x0d\1\0\0\0\0" for name in NAMES}))
    else:
        place = 0 if damage == "header" else len(content) // 2
        content[place : place + 64] = bytes(64)
    (folder / "archive").write_bytes(content)
    with pytest.raises(CorruptDataError, match="archive"):
        mnist.stored().accept(folder / "archive", NPZ if layout == "npz" else NPM)
    assert list(folder.glob("*.npy*")) == []


def test_pickled_objects_are_never_loaded(folder: Path) -> None:
    class Trap:
        def __reduce__(self):
            return Path.touch, (folder / "trap-has-run",)

    with (folder / "archive").open("wb") as out:
        np.savez(out, x_train=np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptDataError, match="allow_pickle"):
        mnist.stored().accept(folder / "archive", NPZ)
    assert not (folder / "trap-has-run").exists()


def test_without_a_source_it_says_where_to_put_which_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "SOURCES", (HttpSource("file:///nowhere/mnist.npz", "mnist.npz"),))
    with pytest.raises(DataUnavailableError, match="openprune data fetch mnist"):
        load_dataset("mnist", fetch=False)
    with pytest.raises(DataUnavailableError) as caught:
        load_dataset("mnist")
    assert str(folder / "download" / "mnist.npz") in str(caught.value)


def test_the_split_is_the_same_for_ever() -> None:
    """Another split would make every published figure incomparable."""
    kept, held = stratified_split(np.arange(60_000) * 7 % 10, mnist.VALIDATION_SIZE, mnist.SPLIT_SEED)
    assert (len(kept), len(held)) == (55_000, 5_000)
    assert (
        hashlib.sha256(held.astype("<i8").tobytes()).hexdigest()
        == "e8402f35d91e24910b01b8f37d7bc03f2589e7a9e6aed7dde7ed74e7ce862dcb"
    )
