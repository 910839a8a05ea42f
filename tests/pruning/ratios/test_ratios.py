from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruning.ratios import RATIOS, Global, Uniform
from pruning.ratios.counting import keep_best, kept_count

shares = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 0.145, 0.25]), st.floats(0, 1))
# Few different values, so that ties are the rule.
layers = st.dictionaries(
    st.sampled_from("abcd"),
    st.lists(st.integers(0, 3), min_size=1, max_size=40).map(lambda x: torch.tensor(x).double()),
    min_size=1,
)


@given(layers, shares)
def test_uniform_removes_exactly_the_rounded_share_of_each_layer(scores, sparsity):
    kept = Uniform(sparsity).select(scores)
    assert list(kept) == list(scores)
    for name, of_layer in scores.items():
        n = len(of_layer)
        assert n - int(kept[name].sum()) == round(Fraction(str(sparsity)) * n)
        if kept[name].any() and not kept[name].all():
            assert of_layer[kept[name]].min() >= of_layer[~kept[name]].max()


@given(layers, shares)
def test_global_removes_exactly_the_rounded_share_of_all_and_the_lowest(scores, sparsity):
    kept = Global(sparsity).select(scores)
    every, chosen = torch.cat(list(scores.values())), torch.cat([kept[name] for name in scores])
    assert len(every) - int(chosen.sum()) == round(Fraction(str(sparsity)) * len(every))
    if chosen.any() and not chosen.all():
        assert every[chosen].min() >= every[~chosen].max()


@given(layers, shares, st.integers(1, 9), st.integers(0, 5), st.sampled_from([Uniform, Global]))
def test_kept_counts_are_rounded_up_to_multiples(scores, sparsity, multiple, least, rule):
    plain = rule(sparsity).select(scores)
    for name, kept in rule(sparsity, multiple_of=multiple, keep_at_least=least).select(scores).items():
        n, count, exact = len(kept), int(kept.sum()), int(plain[name].sum())
        assert count % multiple == 0 or count == n
        assert count >= min(n, max(exact, least))
        assert count < max(exact, least) + multiple
        assert bool((kept | ~plain[name]).all()), "rounding up only adds"


few_values = st.sampled_from([float("-inf"), -1.5, -0.0, 0.0, 1e-40, 0.25, float("inf")])
dtypes = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])


@given(st.lists(st.one_of(few_values, st.floats(-2, 2, width=16)), max_size=40), dtypes, st.data())
def test_selecting_the_best_is_what_a_stable_sort_does(scores, dtype, data):
    scores = torch.tensor(scores, dtype=dtype)
    count = data.draw(st.integers(0, len(scores)))
    expected = torch.zeros(len(scores), dtype=torch.bool)
    expected[scores.argsort(descending=True, stable=True)[:count]] = True
    assert torch.equal(keep_best(scores, count), expected)


def test_one_threshold_compares_scores_of_different_precision_exactly():
    above = torch.tensor([1 + 1e-12], dtype=torch.float64)  # 1 in float32
    kept = Global(0.5).select({"single": torch.ones(1), "double": above})
    assert (kept["single"].item(), kept["double"].item()) == (False, True)


@pytest.mark.parametrize("rule", [Uniform, Global])
def test_of_equal_scores_the_lower_index_is_kept(rule):
    assert rule(0.5).select({"a": torch.ones(4)})["a"].tolist() == [True, True, False, False]
    two = Global(0.5).select({"a": torch.ones(2), "b": torch.ones(2)})
    assert two["a"].tolist() == [True, True]
    assert two["b"].tolist() == [False, False]


@pytest.mark.parametrize(
    ("groups", "sparsity", "kept"),
    # Halves go to the even number removed: 0.5 → 0, 1.5 → 2, 2.5 → 2; 0.145 · 100 is 14.5 exactly.
    [
        (1, 0.5, 1),
        (3, 0.5, 1),
        (5, 0.5, 3),
        (10, 0.35, 6),
        (100, 0.145, 86),
        (100, 0.29, 71),
        (7, 0.0, 7),
        (7, 1.0, 0),
        (0, 0.5, 0),
    ],
)
def test_rounding_is_exact_and_half_to_even(groups, sparsity, kept):
    assert kept_count(groups, sparsity) == kept


def test_one_threshold_takes_from_the_weak_layer():
    kept = Global(0.5).select({"weak": torch.tensor([0.1, 0.2]), "strong": torch.tensor([5.0, 6.0])})
    assert kept["weak"].tolist() == [False, False]
    assert Global(0.5, keep_at_least=1).select({"weak": torch.tensor([0.1, 0.2])})["weak"].tolist() == [False, True]


@pytest.mark.parametrize("name", list(RATIOS))
@pytest.mark.parametrize(
    "wrong",
    [
        {"sparsity": 1.01},
        {"sparsity": -0.1},
        {"sparsity": float("nan")},
        {"sparsity": 0.5, "multiple_of": 0},
        {"sparsity": 0.5, "keep_at_least": -1},
    ],
)
def test_refuses_numbers_out_of_range(name, wrong):
    with pytest.raises(ValueError, match="not "):
        RATIOS[name](**wrong)


def test_global_of_nothing_is_nothing():
    assert Global(0.5).select({}) == {}
