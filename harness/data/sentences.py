"""Labelled sentences: how they are kept, compared, hashed and split."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.dataset import stratified_split


@dataclass(frozen=True)
class Sentences:
    """Texts with their labels, uint8 `[n]`: 0 negative, 1 positive."""

    texts: tuple[str, ...]
    labels: np.ndarray

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels):
            raise ValueError(f"{len(self.texts)} sentences have {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.texts)

    def subset(self, index: np.ndarray) -> Sentences:
        return Sentences(tuple(self.texts[i] for i in index), self.labels[index])


@dataclass(frozen=True)
class Split:
    """Three parts that share no sentence, even when spacing, case and punctuation are ignored."""

    train: Sentences
    validation: Sentences
    test: Sentences


def normalised(text: str) -> str:
    """What makes two sentences the same: letters and digits, in small letters, HTML's escapes undone."""
    return re.sub(r"[^a-z0-9]", "", html.unescape(text).lower())


def without(pool: Sentences, other: Sentences) -> Sentences:
    """`pool` less the sentences that are in `other` too."""
    known = set(map(normalised, other.texts))
    return pool.subset(np.array([i for i, text in enumerate(pool.texts) if normalised(text) not in known], int))


def hold_out(pool: Sentences, count: int, seed: int) -> tuple[Sentences, Sentences]:
    """Split `pool` so that `count` sentences hold every class equally often.

    Sentences that occur more than once stay in the first part, so that no copy straddles the split.
    """
    keys = [normalised(text) for text in pool.texts]
    times = Counter(keys)
    single = np.array([i for i, key in enumerate(keys) if times[key] == 1], int)
    _, chosen = stratified_split(pool.labels[single], count, seed)
    held = single[chosen]
    return pool.subset(np.setdiff1d(np.arange(len(pool)), held)), pool.subset(held)


def sentences_hash(parts: Mapping[str, Sentences]) -> str:
    """SHA-256 over names, texts and labels of all parts, in order."""
    return hashlib.sha256(_to_json(parts).encode()).hexdigest()


def write_sentences(parts: Mapping[str, Sentences], file: Path) -> None:
    file.write_text(_to_json(parts), encoding="utf-8")


def read_sentences(file: Path) -> dict[str, Sentences]:
    """Inverse of `write_sentences`.

    Raises:
        ValueError: the file is not what that function writes.
    """
    try:
        parts = json.loads(file.read_text(encoding="utf-8"))
        return {
            name: Sentences(tuple(text for _, text in rows), np.array([label for label, _ in rows], np.uint8))
            for name, rows in parts.items()
        }
    except (AttributeError, TypeError, OverflowError) as error:
        raise ValueError(f"no table of labels and sentences: {error}") from error


def _to_json(parts: Mapping[str, Sentences]) -> str:
    rows = {name: list(zip(part.labels.tolist(), part.texts, strict=True)) for name, part in parts.items()}
    return json.dumps(rows, ensure_ascii=False, indent=0)
