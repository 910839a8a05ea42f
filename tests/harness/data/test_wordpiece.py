"""The tokenizer, with a vocabulary of a dozen pieces."""

from __future__ import annotations

import builtins
import json
from pathlib import Path

import numpy as np
import pytest

from harness.data import wordpiece
from harness.data.wordpiece import encode, read_tokenizer, verify_tokenizer
from harness.util.names import UsageError


def test_words_become_pieces_between_cls_and_sep(tiny_tokenizer: str) -> None:
    ids = encode(tiny_tokenizer, ["Unaffable FILM", "é film !", "zzz", ""], 8)
    assert ids.dtype == np.int32
    assert ids.tolist() == [
        [2, 4, 5, 6, 7, 3, 0, 0],  # un ##aff ##able film
        [2, 8, 7, 9, 3, 0, 0, 0],  # e film !: accents are dropped
        [2, 1, 3, 0, 0, 0, 0, 0],  # [UNK]
        [2, 3, 0, 0, 0, 0, 0, 0],
    ]


def test_a_long_sentence_loses_its_end_and_keeps_sep(tiny_tokenizer: str) -> None:
    assert encode(tiny_tokenizer, ["film film film film film !"], 5).tolist() == [[2, 7, 7, 7, 3]]
    assert encode(tiny_tokenizer, [], 5).shape == (0, 5)


def test_another_tokenizer_is_refused_and_only_its_own_truncation_and_padding_do_not_count(
    tiny_tokenizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tokenizer.json"
    with pytest.raises(ValueError, match=f"expected SHA-256 {wordpiece.CONTENT_SHA256}, found"):
        verify_tokenizer(tiny_tokenizer)
    described = {**json.loads(tiny_tokenizer), "truncation": {"max_length": 9}, "padding": {"pad_id": 0}}
    file.write_text(json.dumps(described, indent=2))
    assert read_tokenizer(file) == tiny_tokenizer
    described["model"]["vocab"]["film"] = 9
    file.write_text(json.dumps(described))
    assert read_tokenizer(file) != tiny_tokenizer
    file.write_text("[]")
    with pytest.raises(ValueError, match="no JSON object"):
        read_tokenizer(file)


def test_without_the_library_the_extra_is_named(tiny_tokenizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def lacking(name: str, *rest: object) -> object:
        if name == "tokenizers":
            raise ImportError(name)
        return plain(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(UsageError, match=r"pip install 'openprune\[bert\]'"):
        encode(tiny_tokenizer, ["film"], 4)
