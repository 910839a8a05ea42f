"""Each processing element gets the same number of weights, and the best of its own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.granularity import LoadBalanced
from pruning.masking import make_mask
from pruning.ratios.counting import keep_best, kept_count


def counts(kept, pe_count):
    return [int(kept[element::pe_count].sum()) for element in range(pe_count)]


def test_two_elements_by_hand():
    """Rows 0 and 2 go to one element, 1 and 3 to the other; half of each one's eight weights stay."""
    scores = torch.tensor([[9, 8, 7, 6], [1, 1, 1, 2], [5, 1, 1, 1], [3, 4, 1, 5]])
    kept = LoadBalanced(0.5, pe_count=2).best(scores, 1)
    assert kept.int().tolist() == [[1, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]]
    # One threshold for all would leave six weights to the first element, and two to the second.
    assert counts(keep_best(scores.flatten(), 8).reshape(4, 4), 2) == [5, 3]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 7), st.floats(0, 1), st.integers(0, 99))
def test_counts_are_equal_where_the_rows_divide_evenly(pe_count, rows_each, columns, sparsity, seed):
    scores = torch.randint(0, 4, (pe_count * rows_each, columns, 2), generator=torch.Generator().manual_seed(seed))
    kept = LoadBalanced(sparsity, pe_count).best(scores, 1)
    assert kept.shape == scores.shape
    assert counts(kept, pe_count) == [kept_count(rows_each * columns * 2, sparsity)] * pe_count
    for element in range(pe_count):
        own, stays = scores[element::pe_count], kept[element::pe_count]
        if stays.any() and not stays.all():
            assert own[stays].min() >= own[~stays].max()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 9), st.floats(0, 1))
def test_otherwise_they_differ_as_the_rows_do(rows, pe_count, sparsity):
    kept = LoadBalanced(sparsity, pe_count).best(torch.rand(rows, 10), 1)
    expected = [kept_count(len(range(element, rows, pe_count)) * 10, sparsity) for element in range(pe_count)]
    assert counts(kept, pe_count) == expected
    assert max(expected) - min(expected) <= 10 * (1 - sparsity) + 1


def test_it_composes_by_name_and_stays_within_an_earlier_mask():
    model = nn.Linear(10, 64, bias=False)
    mask = make_mask(model, criterion="magnitude", granularity="load_balanced")
    assert counts(mask["weight"], 32) == [2] * 32
    first = make_mask(model, criterion="random", granularity=LoadBalanced(0.5))
    second = make_mask(model, criterion="magnitude", granularity=LoadBalanced(0.8), within=first)
    assert second & first == second and counts(second["weight"], 32) == [4] * 32


@pytest.mark.parametrize(("choices", "message"), [((1.1, 2), "in 0…1"), ((0.5, 0), "1 or more, not 0")])
def test_impossible_numbers_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        LoadBalanced(*choices)
