import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruning.criteria import CRITERIA, Magnitude, Random
from pruning.masking import make_mask
from pruning.names import choose
from pruning.ratios import Uniform


def linear(weight):
    weight = torch.as_tensor(weight, dtype=torch.float32)
    model = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    model.weight.data.copy_(weight)
    return model


def kept(weight, granularity="element", sparsity=0.5, p=1.0):
    mask = make_mask(linear(weight), criterion=Magnitude(p), granularity=granularity, ratio=Uniform(sparsity))
    return mask["weight"]


weights = st.lists(st.lists(st.integers(-100, 100), min_size=4, max_size=4), min_size=1, max_size=6)


def test_magnitude_keeps_the_large_weights_whatever_their_sign():
    # y = ReLU(10·x0 - 8·x1 + 0.1·x2): if one weight goes, it is 0.1, and not the smallest value, -8.
    assert kept([[10, -8, 0.1]], sparsity=1 / 3).tolist() == [[True, True, False]]


def test_magnitude_of_the_lecture_s_kernel_keeps_its_three_largest():
    # The kernel beside the feature map of ones (its output is -4): -8, 3 and -3 are the largest.
    kernel = [[-8, 3, 2], [1, -3, -2], [1, 1, 1]]
    assert sum(map(sum, kernel)) == -4
    mask = kept(kernel, sparsity=6 / 9)
    assert mask.tolist() == [[True, True, False], [False, True, False], [False, False, False]]


@given(weights, st.sampled_from(["element", "filter"]), st.sampled_from([1.0, 2.0, float("inf")]), st.floats(0, 1))
def test_magnitude_sees_neither_signs_nor_scale(weight, granularity, p, sparsity):
    weight = torch.tensor(weight, dtype=torch.float32)
    signs = torch.where(torch.arange(weight.numel()).reshape(weight.shape) % 3 == 0, -1.0, 1.0)
    expected = kept(weight, granularity, sparsity, p)
    assert torch.equal(kept(weight * signs, granularity, sparsity, p), expected)
    assert torch.equal(kept(weight * 4, granularity, sparsity, p), expected)  # a power of two: exact


def test_the_norm_of_a_row_decides_for_filters():
    rows = [[3, 4], [1, 5]]
    assert kept(rows, "filter", p=1)[:, 0].tolist() == [True, False]
    assert kept(rows, "filter", p=2)[:, 0].tolist() == [False, True]


def test_random_follows_its_seed_and_leaves_the_global_state_alone():
    model = linear(torch.ones(8, 8))
    state = torch.random.get_rng_state()
    first, again, other = (Random(seed).scores(model, ["weight"])["weight"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_an_unknown_criterion_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"no criterion named 'magnitud'\. Did you mean magnitude\?"):
        choose("criterion", "magnitud", CRITERIA)
