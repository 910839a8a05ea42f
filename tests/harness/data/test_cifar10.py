from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.data import cifar10, is_present, load_dataset
from harness.data.fetch import CorruptDataError, DataUnavailableError, HttpSource
from harness.util.names import UnknownNameError

REPOSITORY = Path(__file__).resolve().parents[3]
LOAD = """
import sys
from harness.data import cifar10
from harness.data.fetch import HttpSource
cifar10.CONTENT_SHA256, url = sys.argv[1:]
cifar10.VALIDATION_SIZE = 4
cifar10.SOURCES = (HttpSource(url, "cifar-10-binary.tar.gz"),)
print(len(cifar10.load().train))
"""


def loading_process(site, tiny) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LOAD, tiny.sha256, site.url]
    return subprocess.Popen(command, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def arrays_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.glob("*.npy*"))


def test_both_layouts_decode_to_the_same_pixels(tmp_path: Path, tiny) -> None:
    for decode, content in ((cifar10._decode_binary, tiny.binary), (cifar10._decode_npm, tiny.npm)):
        (tmp_path / "archive").write_bytes(content)
        for part, expected in zip(decode(tmp_path / "archive"), (tiny.train, tiny.test), strict=True):
            np.testing.assert_array_equal(part.inputs, expected.inputs)
            np.testing.assert_array_equal(part.labels, expected.labels)


def test_parts_share_no_image_and_are_fetched_once(cache: Path, site, tiny) -> None:
    assert not is_present("cifar10")
    for _ in range(2):
        data = load_dataset("cifar10")
    pixels = [image.tobytes() for part in (data.train, data.validation, data.test) for image in part.inputs]
    assert [len(part) for part in (data.train, data.validation, data.test)] == [36, 4, 8]
    assert len(set(pixels)) == 48
    np.testing.assert_array_equal(data.test.inputs, tiny.test.inputs)
    assert sorted(data.validation.labels) == [0, 0, 1, 1]
    assert len(site.ranges) == 1
    assert is_present("cifar10")
    assert not (cache / "download").exists()


def test_a_corrupt_download_is_refused_and_fetched_again(cache: Path, site, capsys: pytest.CaptureFixture[str]) -> None:
    site.answers = ["corrupt", "whole"]
    assert len(load_dataset("cifar10").test) == 8
    captured = capsys.readouterr()
    assert "cannot be decoded" in captured.err
    assert captured.out == ""
    assert len(site.ranges) == 2


@pytest.mark.parametrize("damage", ["header", "middle", "end"])
def test_a_damaged_archive_is_called_corrupt(cache: Path, tiny, damage: str) -> None:
    content = bytearray(tiny.binary)
    if damage == "end":
        del content[len(content) // 2 :]
    else:
        place = 0 if damage == "header" else len(content) // 2
        content[place : place + 64] = bytes(64)
    cache.mkdir(parents=True)
    (cache / "archive.tar.gz").write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"archive\.tar\.gz"):
        cifar10.stored().accept(cache / "archive.tar.gz", cifar10.SOURCES[0])
    assert arrays_in(cache) == []


def test_other_content_is_refused_with_what_was_expected_and_found(
    cache: Path, tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar10, "CONTENT_SHA256", "0" * 64)
    with pytest.raises(DataUnavailableError) as caught:
        load_dataset("cifar10")
    assert f"expected SHA-256 {'0' * 64}, found {tiny.sha256}" in str(caught.value)
    assert str(cache / "download" / "cifar-10-binary.tar.gz") in str(caught.value)
    assert arrays_in(cache) == []


@pytest.mark.parametrize("damage", ["cut short", "another image"])
def test_a_damaged_cache_is_noticed_and_replaced(cache: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    load_dataset("cifar10")
    file = cache / "train_images.npy"
    if damage == "cut short":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        np.save(file, np.load(file)[::-1])
    with pytest.raises(DataUnavailableError, match="openprune data fetch cifar10"):
        load_dataset("cifar10", fetch=False)
    assert len(load_dataset("cifar10").train) == 36
    assert "fetching it again" in caplog.text


def test_two_processes_make_one_download(cache: Path, site, tiny) -> None:
    site.answers = ["slow"]
    processes = [loading_process(site, tiny) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [out for out, _ in outputs] == ["36\n", "36\n"], outputs
    assert len(site.ranges) == 1


def test_a_killed_download_leaves_nothing_that_looks_finished(cache: Path, site, tiny) -> None:
    site.answers = ["stall", "whole"]
    process = loading_process(site, tiny)
    deadline = time.monotonic() + 60
    while not site.ranges and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    site.released.set()
    assert not is_present("cifar10")
    assert arrays_in(cache) == []
    assert len(load_dataset("cifar10").train) == 36


def test_killed_between_two_files_it_starts_over(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, calls = Path.replace, []

    def replace_twice(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replace_twice)
    with pytest.raises(KeyboardInterrupt):
        load_dataset("cifar10")
    assert not is_present("cifar10")
    monkeypatch.setattr(Path, "replace", replace)
    assert len(load_dataset("cifar10").train) == 36


def test_a_folder_that_cannot_be_made_is_a_matter_of_usage(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OPENPRUNE_DATA", str(tmp_path / "file" / "below"))
    with pytest.raises(DataUnavailableError, match="Set OPENPRUNE_DATA"):
        load_dataset("cifar10")


def test_nothing_is_fetched_when_fetching_is_off(cache: Path, site) -> None:
    with pytest.raises(DataUnavailableError, match="Run: openprune data fetch cifar10"):
        load_dataset("cifar10", fetch=False)
    assert site.ranges == []


def test_a_misspelt_data_set_is_named() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean cifar10"):
        load_dataset("cifar-10")


def test_the_official_source_comes_first() -> None:
    first = cifar10.SOURCES[0]
    assert isinstance(first, HttpSource)
    assert first.url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
