"""BERT's uncased WordPiece tokenizer: from a sentence to token ids of a fixed length.

Devlin et al. 2019, arXiv 1810.04805, section 3, with the vocabulary of 30,522 pieces that
bert-base-uncased and MiniLM share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.util.names import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Of the tokenizer's file as canonical JSON, less its own settings for truncation and padding.
CONTENT_SHA256 = "6f7544b66309ed96613a9a1e47c2944af20a1081b78f61fd8b65db1cbdee02b5"


def read_tokenizer(file: Path) -> str:
    """The tokenizer's description in canonical JSON.

    Raises:
        ValueError: the file is no JSON object.
    """
    description = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(description, dict):
        raise ValueError("no JSON object")
    return json.dumps({**description, "truncation": None, "padding": None}, sort_keys=True, ensure_ascii=False)


def verify_tokenizer(description: str) -> None:
    """Raises:
    ValueError: it is another tokenizer.
    """
    found = hashlib.sha256(description.encode()).hexdigest()
    if found != CONTENT_SHA256:
        raise ValueError(f"expected SHA-256 {CONTENT_SHA256}, found {found}")


def encode(description: str, texts: Sequence[str], length: int) -> np.ndarray:
    """Token ids, int32 `[n, length]`: [CLS], the pieces, [SEP], then token 0.

    Pieces that do not fit are cut off; [SEP] stays.

    Args:
        description: the tokenizer, as `read_tokenizer` gives it.

    Raises:
        UsageError: the tokenizers library is not installed.
    """
    tokenizer = _tokenizer(description)
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=0)
    ids = [each.ids for each in tokenizer.encode_batch(list(texts))]
    return np.array(ids, np.int32).reshape(len(texts), length)


def _tokenizer(description: str) -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UsageError("Text tasks need the tokenizers library: pip install 'openprune[bert]'") from error
    return Tokenizer.from_str(description)
