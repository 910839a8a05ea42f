"""SST-2: phrases and sentences from film reviews, negative or positive, as GLUE has them.

Socher et al. 2013 (EMNLP); Wang et al. 2019, arXiv 1804.07461, section 3.1. The labels of GLUE's
own test set are not published, so its 872 development sentences are the test set here. 1,000
phrases of the training set are split off for validation, once and for all. They are parts of
sentences whose other parts are in the training set, so accuracy on them is too good to be true:
use it to compare, not to report.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness.data.cached import Cached
from harness.data.dataset import Samples
from harness.data.fetch import HttpBundle, HttpSource
from harness.data.pretrained import TOKENIZER
from harness.data.sentences import Sentences, Split, hold_out, read_sentences, without, write_sentences
from harness.data.text import TokenDataset
from harness.data.wordpiece import encode

LENGTH = 64
VALIDATION_SIZE = 1000
SPLIT_SEED = 20131018  # the first day of EMNLP 2013, where the treebank was presented
COUNTS = {"train": (29_780, 37_569), "dev": (428, 444)}  # negative, positive
HUB = "https://huggingface.co/datasets/stanfordnlp/sst2/resolve/main/data/"
PARQUET = {"train": "train-00000-of-00001.parquet", "dev": "validation-00000-of-00001.parquet"}


def where() -> Path:
    """The folder that it is kept in."""
    return CORPUS.file.parent


def is_present() -> bool:
    """Whether the decoded files are there (their content is verified when they are loaded)."""
    return CORPUS.is_present() and TOKENIZER.is_present()


def load(*, fetch: bool = True) -> TokenDataset:
    """Load the data set into memory, 18 MB, and fetch it first if need be.

    Raises:
        DataUnavailableError: it is not there, and `fetch` is off or no source could give it.
        UsageError: the tokenizers library is not installed.
    """
    parts = CORPUS.load(fetch=fetch)
    tokenizer = TOKENIZER.load(fetch=fetch)
    split = split_sentences(parts["train"], parts["dev"])
    train, validation, test = (
        Samples(encode(tokenizer, part.texts, LENGTH), part.labels)
        for part in (split.train, split.validation, split.test)
    )
    return TokenDataset("sst2", train, validation, test, content_sha256=None)


def split_sentences(train: Sentences, dev: Sentences) -> Split:
    """The fixed split; a training phrase that is a whole test sentence is left out."""
    rest, validation = hold_out(without(train, dev), VALIDATION_SIZE, SPLIT_SEED)
    return Split(rest, validation, dev)


def decode(file: Path) -> dict[str, Sentences]:
    """From GLUE's archive of tab-separated tables, or from an archive of the hub's parquet files."""
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        if set(PARQUET.values()) <= names:
            return {part: _from_parquet(archive.read(name)) for part, name in PARQUET.items()}
        return {part: _from_table(archive.read(f"SST-2/{part}.tsv").decode("utf-8")) for part in COUNTS}


def _from_table(table: str) -> Sentences:
    rows = [line.rsplit("\t", 1) for line in table.split("\n")[1:] if line.strip()]
    return _sentences([text for text, _ in rows], [int(label) for _, label in rows])


def _from_parquet(content: bytes) -> Sentences:
    import pandas

    table = pandas.read_parquet(io.BytesIO(content), columns=["sentence", "label"])
    return _sentences(table["sentence"].tolist(), table["label"].tolist())


def _sentences(texts: list[str], labels: list[int]) -> Sentences:
    return Sentences(tuple(text.strip() for text in texts), np.array(labels, np.uint8))


def verify(parts: Mapping[str, Sentences]) -> None:
    """Hold the numbers of sentences of each class against GLUE's.

    Raises:
        ValueError: they are others.
    """
    found = {name: tuple(np.bincount(part.labels, minlength=2).tolist()) for name, part in parts.items()}
    if found != COUNTS:
        raise ValueError(f"expected (negative, positive) {COUNTS}, found {found}")


CORPUS: Cached[dict[str, Sentences]] = Cached(
    title="SST-2",
    place="sst2/sentences.json",
    command="openprune data fetch sst2",
    sources=(
        HttpSource("https://dl.fbaipublicfiles.com/glue/data/SST-2.zip", "SST-2.zip"),
        HttpBundle(tuple(HttpSource(HUB + name, name) for name in PARQUET.values()), "sst2-parquet.zip"),
    ),
    decode=decode,
    read=read_sentences,
    write=write_sentences,
    verify=verify,
)
