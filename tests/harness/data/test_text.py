"""Batches of token ids: what training sees, and what a session is given."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.data.dataset import Samples
from harness.data.text import TokenDataset, TokenLoader
from harness.tasks.recipe import Recipe

LENGTH = 12


def sentences(lengths: list[int]) -> Samples:
    """Sentence i has `lengths[i]` tokens, all i + 1; its label is i % 2."""
    ids = np.zeros((len(lengths), LENGTH), np.int32)
    for i, length in enumerate(lengths):
        ids[i, :length] = i + 1
    return Samples(ids, np.arange(len(lengths), dtype=np.uint8) % 2)


@given(st.lists(st.integers(1, LENGTH), min_size=1, max_size=20), st.integers(1, 7), st.integers(0, 9))
def test_training_loses_no_token_but_the_last_batch(lengths: list[int], batch_size: int, seed: int) -> None:
    data = sentences(lengths)
    loader = TokenLoader(data, batch_size=batch_size, training=True, seed=seed)
    seen = []
    for ids, labels in loader:
        assert ids.dtype == labels.dtype == torch.int64 and len(ids) == batch_size
        assert (ids[:, -1] != 0).any()  # no column is padding alone
        for row, label in zip(ids, labels, strict=True):
            which = int(row[0]) - 1
            assert int((row != 0).sum()) == lengths[which] and label == which % 2
            seen.append(which)
    assert len(seen) == len(set(seen)) == loader.sample_count == len(lengths) // batch_size * batch_size


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    def epochs(seed: int, start: int, count: int) -> list[list[int]]:
        loader = TokenLoader(sentences([3] * 16), batch_size=4, training=True, seed=seed)
        loader.epoch = start
        return [[int(i) for ids, _ in loader for i in ids[:, 0]] for _ in range(count)]

    first, second, third = epochs(0, 0, 3)
    assert first != second != third
    assert epochs(0, 2, 1) == [third]  # as a resumed training sees it
    assert epochs(1, 0, 1) != [first]


def test_judging_sees_all_sentences_at_full_length() -> None:
    data = sentences([1, 2, 3, 4, 5])
    dataset = TokenDataset("demo", data, data, data, None)
    loader = dataset.loader("test", batch_size=2)
    batches = list(loader)
    assert [len(ids) for ids, _ in batches] == [2, 2, 1] and len(loader) == 3 and loader.sample_count == 5
    np.testing.assert_array_equal(torch.cat([ids for ids, _ in batches]).numpy(), data.inputs)
    training = dataset.loader("train", batch_size=2, recipe=Recipe(epochs=1))
    assert len(training) == 2 and all(ids.shape[1] <= 5 for ids, _ in training)
    assert len(dataset.without_test().test) == 0 and len(dataset.without_test().train) == 5
