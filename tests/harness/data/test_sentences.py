"""What makes sentences the same, and a split that no copy straddles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.sentences import (
    Sentences,
    hold_out,
    normalised,
    read_sentences,
    sentences_hash,
    without,
    write_sentences,
)

TEXTS = st.lists(
    st.sampled_from(["good .", "Good", "bad", "so & so", "so &amp; so", "a", "b", "c", "d", "e", "f", "g"])
)


def labelled(texts: list[str]) -> Sentences:
    return Sentences(tuple(texts), np.arange(len(texts), dtype=np.uint8) % 2)


def test_spacing_case_punctuation_and_escapes_do_not_count() -> None:
    assert normalised("It 's co-written ; fine .") == normalised("its CO WRITTEN, fine!") == "itscowrittenfine"
    assert normalised("lovely &amp; amazing") == normalised("Lovely & Amazing")
    assert normalised("not good") != normalised("good")


@given(TEXTS, st.integers(0, 5))
def test_no_sentence_is_on_both_sides_and_none_is_lost(texts: list[str], seed: int) -> None:
    pool = labelled([*texts, *(f"plain {i}" for i in range(6))])
    kept, held = hold_out(pool, 4, seed)
    assert np.bincount(held.labels).tolist() == [2, 2]
    assert not set(map(normalised, kept.texts)) & set(map(normalised, held.texts))
    assert sorted(kept.texts + held.texts) == sorted(pool.texts)


def test_what_is_known_is_left_out() -> None:
    left = without(labelled(["Good!", "fair", "so &amp; so"]), labelled(["good", "so & so ."]))
    assert left.texts == ("fair",) and left.labels.tolist() == [1]


@settings(max_examples=20)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_written_and_read_they_are_the_same(tmp_path_factory, texts: list[str]) -> None:
    file: Path = tmp_path_factory.mktemp("sentences") / "file.json"
    parts = {"one": labelled(texts), "two": labelled(["ein Satz: größer"])}
    write_sentences(parts, file)
    back = read_sentences(file)
    assert {name: (part.texts, part.labels.tolist()) for name, part in back.items()} == {
        name: (part.texts, part.labels.tolist()) for name, part in parts.items()
    }
    assert sentences_hash(back) == sentences_hash(parts) != sentences_hash({"one": labelled(texts)})


@pytest.mark.parametrize(
    "content", ["", "[1]", '{"a": 3}', '{"a": [[300, "x"]]}', '{"a": [["x"]]}', '{"a": [[null, "x"]]}']
)
def test_a_damaged_file_is_called_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "file.json").write_text(content)
    with pytest.raises(ValueError):
        read_sentences(tmp_path / "file.json")


def test_each_sentence_has_a_label() -> None:
    with pytest.raises(ValueError, match="2 sentences have 1 labels"):
        Sentences(("a", "b"), np.zeros(1, np.uint8))
