from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.cifar10 import SPLIT_SEED, VALIDATION_SIZE
from harness.data.dataset import Samples, content_hash, stratified_split


def images(n: int = 4, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    return Samples(rng.integers(0, 256, (n, 2, 2, 3), dtype=np.uint8), rng.integers(0, 2, n, dtype=np.uint8))


@given(
    counts=st.lists(st.integers(3, 20), min_size=1, max_size=6), each=st.integers(0, 3), seed=st.integers(0, 2**32 - 1)
)
def test_split_is_a_partition_with_equal_shares(counts: list[int], each: int, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    kept, held = stratified_split(labels, each * len(counts), seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert np.all(np.diff(kept) > 0)
    assert np.all(np.diff(held) > 0)
    assert [np.sum(labels[held] == c) for c in range(len(counts))] == [each] * len(counts)


def test_split_is_the_same_for_ever() -> None:
    """Another split would make every published figure incomparable."""
    kept, held = stratified_split(np.arange(50_000) * 7 % 10, VALIDATION_SIZE, SPLIT_SEED)
    assert (len(kept), len(held)) == (45_000, 5_000)
    digest = hashlib.sha256(held.astype("<i8").tobytes()).hexdigest()
    assert digest == "1e6dd8c694a414bb12af6afb5076fc305808333137c719c995c18a7d0bc475e6"


def test_split_refuses_what_cannot_be_shared_equally() -> None:
    with pytest.raises(ValueError, match="5 samples cannot be shared equally by 2 classes"):
        stratified_split(np.array([0, 1] * 5), 5, seed=0)


def test_content_hash_sees_every_byte_and_the_parts() -> None:
    a, b = images(seed=1), images(seed=2)
    changed = Samples(a.inputs.copy(), a.labels.copy())
    changed.inputs[-1, -1, -1, -1] ^= 1
    relabelled = Samples(a.inputs, a.labels ^ 1)
    hashes = [content_hash(*parts) for parts in ((a, b), (b, a), (changed, b), (relabelled, b), (a,))]
    assert len(set(hashes)) == len(hashes)
    assert content_hash(Samples(np.asfortranarray(a.inputs), a.labels), b) == hashes[0]
