import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.criteria import Random
from pruning.granularity import Kernel, KernelPatterns
from pruning.masking import make_mask
from pruning.ratios import Uniform


def kernel(*places, centre=0.0):
    """Scores of a 3×3 kernel: 1 at `places`, counted row by row, and `centre` in the middle."""
    scores = torch.zeros(9)
    scores[list(places)] = 1.0
    scores[4] = centre
    return scores.reshape(3, 3)


def test_every_kernel_keeps_the_pattern_of_the_most_frequent_ones_that_preserves_most():
    cross, corner = kernel(1, 3, 5), kernel(0, 1, 3)
    rare = kernel(1, 2, 5) * 3  # its own pattern comes once, so is not among the two
    scores = torch.stack([cross, cross, corner, corner, corner, rare]).reshape(3, 2, 3, 3)
    rule = KernelPatterns(entries=4, count=2)
    assert rule.choose(scores.reshape(6, 9).double()).tolist() == [[0, 1, 3, 4], [1, 3, 4, 5]]
    kept = [mask.flatten().nonzero().flatten().tolist() for mask in rule.best(scores, 1).flatten(0, 1)]
    # The rare kernel keeps 3 of its 9 with the corner (place 1), and 6 with the cross (places 1, 5).
    assert kept == [[1, 3, 4, 5]] * 2 + [[0, 1, 3, 4]] * 3 + [[1, 3, 4, 5]]


def test_with_all_natural_patterns_each_kernel_keeps_its_centre_and_its_best_three():
    scores = torch.rand(16, 32, 3, 3, generator=torch.Generator().manual_seed(0))
    kept = KernelPatterns(entries=4, count=56).best(scores, 2)  # of 8 others 3: 56 patterns
    forced = scores.flatten(2).clone()
    forced[..., 4] = 2.0
    expected = torch.zeros(forced.shape, dtype=torch.bool).scatter_(2, forced.topk(4, dim=2).indices, True)
    assert torch.equal(kept.flatten(2), expected)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(2, 3, 3, 3), (5, 2, 3, 3), (1, 1, 3, 3), (3, 2, 5), (2, 2, 1, 3)]),
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from([1.0, 2.0, float("inf")]),
)
def test_counts_and_choice_are_exact(seed, shape, entries, count, p):
    scores = torch.randint(4, shape, generator=torch.Generator().manual_seed(seed)).float()  # ties are the rule
    rule = KernelPatterns(entries, count)
    kernels, kept = scores.flatten(2).flatten(0, 1), rule.best(scores, p).flatten(2).flatten(0, 1)
    assert kept.sum(1).tolist() == [entries] * len(kernels)
    assert bool(kept[:, kernels.shape[1] // 2].all()), "the centre stays"
    patterns = {tuple(row) for row in rule.choose(kernels.double()).tolist()}
    used = {tuple(row.nonzero().flatten().tolist()) for row in kept}
    assert used <= patterns
    assert len(patterns) <= count
    for scored, mask in zip(kernels.tolist(), kept.tolist(), strict=True):
        preserved = _norm(itertools.compress(scored, mask), p)
        assert preserved == pytest.approx(max(_norm((scored[place] for place in one), p) for one in patterns))


def _norm(values, p):
    values = list(values)
    return max(values) if p == float("inf") else sum(value**p for value in values) ** (1 / p)


def test_a_mask_within_itself_is_the_same_and_connectivity_goes_with_it():
    model = nn.Conv2d(4, 8, 3)
    dense = make_mask(model, criterion="magnitude", granularity="patterns")
    assert dense.counts() == {"weight": (4 * 32, 9 * 32)}
    assert make_mask(model, criterion="magnitude", granularity="patterns", within=dense) == dense
    other = make_mask(model, criterion=Random(5), granularity="patterns", within=dense)
    assert other == dense  # no other pattern would save a weight that is left
    half = make_mask(model, criterion="magnitude", granularity=Kernel(), ratio=Uniform(0.5))
    both = make_mask(model, criterion="magnitude", granularity="patterns", within=half)
    assert sorted(both["weight"].flatten(2).sum(2).flatten().tolist()) == [0] * 16 + [4] * 16


def test_kernels_that_are_gone_have_no_vote():
    gone = torch.full((3, 3), -torch.inf)
    scores = torch.stack([gone, gone, kernel(6, 7, 8)]).reshape(1, 3, 3, 3)
    assert KernelPatterns(count=1).best(scores, 2)[0, 2].flatten().nonzero().flatten().tolist() == [4, 6, 7, 8]
    everything = gone.expand(1, 2, 3, 3)
    assert int(KernelPatterns().best(everything, 1).sum()) == 8


@pytest.mark.parametrize("layer", [nn.Linear(8, 2), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 2), nn.Conv1d(2, 2, 3)])
def test_a_tensor_without_such_kernels_is_named(layer):
    with pytest.raises(ValueError, match=r"^0\.weight of shape \[.*\]: patterns of 4 need kernels with a centre"):
        make_mask(nn.Sequential(layer), criterion="magnitude", granularity="patterns")


@pytest.mark.parametrize("numbers", [(0, 1), (4, 0)])
def test_refuses_empty_sets(numbers):
    with pytest.raises(ValueError, match="1 entry and 1 pattern or more"):
        KernelPatterns(*numbers)
