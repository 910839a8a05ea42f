from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruning.masking import make_mask
from pruning.ratios import PerLayer
from pruning.ratios.per_layer import apportion, sparsity_of

shares = st.one_of(st.sampled_from([0.0, 0.5, 0.145, 0.9]), st.floats(0, 1, exclude_max=True))
# Few different values, so that ties are the rule.
scores_of = st.lists(st.integers(0, 3), min_size=1, max_size=40).map(lambda x: torch.tensor(x).double())
layers = st.dictionaries(st.sampled_from("abcd"), st.tuples(scores_of, shares), min_size=1)


@given(layers, st.integers(1, 9), st.integers(0, 5))
def test_each_layer_loses_exactly_its_own_rounded_share(drawn, multiple, least):
    scores = {name: of_layer for name, (of_layer, _) in drawn.items()}
    sparsity = {name: share for name, (_, share) in drawn.items()}
    plain = PerLayer(sparsity).select(scores)
    rounded = PerLayer(sparsity, multiple_of=multiple, keep_at_least=least).select(scores)
    for name, of_layer in scores.items():
        n, kept, more = len(of_layer), plain[name], rounded[name]
        assert n - int(kept.sum()) == round(Fraction(str(sparsity[name])) * n)
        if kept.any() and not kept.all():
            assert of_layer[kept].min() >= of_layer[~kept].max()
        assert int(more.sum()) in (n, -(-max(int(kept.sum()), least) // multiple) * multiple)
        assert bool((more | ~kept).all()), "rounding up only adds"


@pytest.mark.parametrize(
    ("sparsity", "message"),
    [
        ({"conv1.weight": 0.5}, r"no sparsity for 'conv2\.weight'\. Did you mean conv1\.weight\?"),
        (
            {"conv1.weight": 0.5, "conv2.weight": 0.5, "conv3.weight": 0.5},
            r"sparsity for 'conv3\.weight', which is not pruned here\. Did you mean conv",
        ),
    ],
)
def test_every_layer_has_a_share_and_every_share_a_layer(sparsity, message):
    with pytest.raises(ValueError, match=message):
        PerLayer(sparsity).select({"conv1.weight": torch.ones(4), "conv2.weight": torch.ones(4)})


@pytest.mark.parametrize("wrong", [1.0, -0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused_with_its_name(wrong):
    with pytest.raises(ValueError, match=r"sparsity of b\.weight is the share that it loses.*not "):
        PerLayer({"a.weight": 0.5, "b.weight": wrong})


def test_it_does_not_change_with_what_it_was_made_from():
    shares = {"a": 0.5}
    ratio = PerLayer(shares)
    shares["a"] = 0.0
    assert ratio.count("a", 4) == 2


@pytest.mark.parametrize("granularity", ["element", "filter"])
def test_it_composes_into_a_mask(granularity):
    model = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 4))
    ratio = PerLayer({"0.weight": 0.75, "1.weight": 0.25})
    counts = make_mask(model, criterion="magnitude", granularity=granularity, ratio=ratio).counts()
    assert counts == {"0.weight": (12, 48), "1.weight": (24, 32)}


@given(
    st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), min_size=1, max_size=6),
    st.integers(0, 400),
)
def test_apportioned_numbers_sum_exactly_within_their_bounds(drawn, extra):
    sizes = {str(i): size for i, (size, _) in enumerate(drawn)}
    wanted = {str(i): size * share for i, (size, share) in enumerate(drawn)}
    total = min(len(sizes) + extra, sum(sizes.values()))
    counts = apportion(wanted, sizes, total)
    assert sum(counts.values()) == total
    assert all(1 <= counts[name] <= sizes[name] for name in sizes)


def test_largest_remainders_by_hand():
    wanted, sizes = {"a": 2.7, "b": 3.6, "c": 3.7}, {"a": 9, "b": 9, "c": 9}
    assert apportion(wanted, sizes, 10) == {"a": 3, "b": 3, "c": 4}
    assert sparsity_of({"a": 3}, {"a": 12}) == {"a": 0.75}


@pytest.mark.parametrize("total", [1, 9])
def test_what_cannot_be_spread_is_refused(total):
    with pytest.raises(ValueError, match=f"{total} weights cannot be spread over 2 layers of 8"):
        apportion({"a": 1.0, "b": 1.0}, {"a": 4, "b": 4}, total)
