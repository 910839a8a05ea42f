import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruning.granularity import (
    GRANULARITIES,
    Block,
    Channel,
    Element,
    Filter,
    Kernel,
    Pattern,
    Vector,
    lp_norm,
)
from pruning.masking import make_mask
from pruning.ratios import Global, Uniform

# Two rows of a weight matrix, worked by hand.
ROWS = torch.tensor([[3.0, 4.0], [1.0, 5.0]])

CONVOLUTIONS = [(4, 3, 5), (4, 2, 3, 3), (2, 3, 1, 1), (2, 2, 3, 2, 2)]
LINEAR = [(4, 6), (1, 1)]
CUTS = [
    *[(cut(), shape) for cut in (Element, Filter, Channel) for shape in LINEAR + CONVOLUTIONS],
    *[(cut(), shape) for cut in (Vector, Kernel) for shape in CONVOLUTIONS],
    *[(Block(2, 3), shape) for shape in [(4, 6), (2, 3, 1, 1), (4, 2, 3, 3), (2, 2, 3, 2, 2)]],
    (Block(1, 1), (3, 5)),
    (Block(4, 6), (4, 6)),
    *[(cut(normalise=True), (4, 2, 3, 3)) for cut in (Vector, Kernel, Filter, Channel)],
]


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (1, [7.0, 6.0]),
        (2, [5.0, math.sqrt(26)]),
        (float("inf"), [4.0, 5.0]),
        (0.5, [(3**0.5 + 2) ** 2, (1 + 5**0.5) ** 2]),
    ],
)
def test_row_importances_by_lp_norm(p, expected):
    assert Filter().pool(ROWS, p).tolist() == pytest.approx(expected)


def test_a_high_norm_of_small_scores_neither_vanishes_nor_overflows():
    scores = torch.tensor([[1e-3, 2e-3], [4e-3, 1e-3], [0.0, 0.0]], dtype=torch.float64)
    assert lp_norm(scores, 200.0).tolist() == pytest.approx([2e-3, 4e-3, 0.0], rel=1e-6)
    assert lp_norm(1e6 * scores, 200.0, normalise=True).tolist() == pytest.approx([2e3, 4e3, 0.0], rel=4e-3)
    assert lp_norm(torch.tensor([[1.0, float("inf")]]), 2.0).tolist() == [float("inf")]


def test_row_importances_of_a_signed_matrix():
    # Row-wise pruning of [[3, -2], [1, -5]]: |3| + |-2| = 5 and |1| + |-5| = 6, so the first row goes;
    # by the L2 norm √13 and √26. Single weights: -2 and 1 go.
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[3.0, -2.0], [1.0, -5.0]])
    magnitudes = layer.weight.detach().abs()
    assert Filter().pool(magnitudes, 1).tolist() == [5, 6]
    assert Filter().pool(magnitudes, 2).tolist() == pytest.approx([math.sqrt(13), math.sqrt(26)])
    choices = {"criterion": "magnitude", "ratio": Uniform(0.5)}
    assert make_mask(layer, granularity="filter", **choices)["weight"].tolist() == [[False, False], [True, True]]
    assert make_mask(layer, granularity="element", **choices)["weight"].tolist() == [[True, False], [False, True]]


def test_the_norm_decides_which_row_matters_more():
    assert Filter().pool(ROWS, 1).argmax() == 0
    assert Filter().pool(ROWS, 2).argmax() == 1


def test_column_importances():
    assert Channel().pool(ROWS, 1).tolist() == [4, 9]
    assert Channel().pool(ROWS, 2).tolist() == pytest.approx([math.sqrt(10), math.sqrt(41)])


@pytest.mark.parametrize("p", [0.5, 1, 2, 3])
@pytest.mark.parametrize("cut", [Vector, Kernel, Filter, Channel])
def test_normalised_scores_do_not_depend_on_the_size_of_a_group(p, cut):
    small, large = torch.full((2, 2, 1, 1), 0.3), torch.full((8, 64, 3, 3), 0.3)
    fair, plain = cut(normalise=True), cut()
    assert fair.pool(small, p)[0].item() == pytest.approx(fair.pool(large, p)[0].item())
    assert plain.pool(small, p)[0].item() < plain.pool(large, p)[0].item()


@pytest.mark.parametrize(("cut", "shape"), CUTS, ids=str)
def test_groups_of_one_size_part_the_weights_and_their_score_is_the_norm_of_what_is_in_them(cut, shape):
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    pooled, size = cut.pool(scores, 2), cut.group_size(scores.shape)
    assert pooled.is_floating_point()
    assert pooled.numel() * size == scores.numel()
    covered = torch.zeros(shape, dtype=torch.int64)
    for group in range(len(pooled)):
        alone = cut.expand(torch.arange(len(pooled)) == group, scores.shape)
        assert alone.shape == scores.shape
        assert int(alone.sum()) == size
        covered += alone
        norm = scores[alone].double().square().sum().sqrt() / (math.sqrt(size) if _is_fair(cut) else 1)
        assert pooled[group].item() == pytest.approx(norm.item())
    assert bool((covered == 1).all())


def _is_fair(cut):
    return getattr(cut, "normalise", False)


@given(st.sampled_from(CUTS), st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1)), st.integers(0, 3))
def test_counts_are_exact_in_weights_too(case, sparsity, levels):
    cut, shape = case
    scores = torch.randint(levels + 1, shape, generator=torch.Generator().manual_seed(levels)).float()
    kept = Global(sparsity).select({"w": cut.pool(scores, 1)})["w"]
    assert int(cut.expand(kept, scores.shape).sum()) == int(kept.sum()) * cut.group_size(scores.shape)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2, 2), (4, 3, 5)])
def test_filters_are_the_first_dimension_and_channels_the_second(shape):
    size = torch.Size(shape)
    rows = Filter().expand(torch.tensor([True, False, False, True]), size)
    assert rows.flatten(1).all(1).tolist() == rows.flatten(1).any(1).tolist() == [True, False, False, True]
    columns = Channel().expand(torch.tensor([False, True, True]), size).transpose(0, 1).flatten(1)
    assert columns.all(1).tolist() == columns.any(1).tolist() == [False, True, True]


def test_vectors_and_kernels_come_in_the_order_of_the_memory():
    size = torch.Size((2, 2, 3, 3))
    vector = Vector().expand(torch.arange(12) == 7, size)
    kernel = Kernel().expand(torch.arange(4) == 2, size)
    assert vector.nonzero()[:, :3].unique(dim=0).tolist() == [[1, 0, 1]]
    assert kernel.nonzero()[:, :2].unique(dim=0).tolist() == [[1, 0]]


def test_blocks_are_rectangles_of_the_flattened_matrix():
    mask = Block(2, 3).expand(torch.tensor([True, False, False, True]), torch.Size((4, 2, 3, 1)))
    on, off = [True] * 3, [False] * 3
    assert mask.flatten(1).tolist() == [on + off, on + off, off + on, off + on]


def test_elements_keep_their_place_and_precision():
    scores = torch.arange(24.0).reshape(2, 3, 2, 2)
    pooled = Element().pool(scores, 2)
    assert torch.equal(Element().expand(pooled > 10, scores.shape), scores > 10)
    assert Element().group_size(scores.shape) == 1
    assert [Element().pool(scores.to(dtype), 2).dtype for dtype in (torch.float32, torch.float64, torch.int64)] == [
        torch.float32,
        torch.float64,
        torch.float64,
    ]


@pytest.mark.parametrize("name", "element vector kernel filter channel block nm patterns".split())
def test_each_makes_a_mask_by_its_name(name):
    model = nn.Conv2d(8, 8, 3, bias=False)
    state = torch.random.get_rng_state()
    ratio = None if isinstance(GRANULARITIES[name](), Pattern) else Uniform(0.5)
    mask = make_mask(model, criterion="magnitude", granularity=name, ratio=ratio)
    assert mask.counts()["weight"][0] == (8 * 8 * 4 if name == "patterns" else 8 * 8 * 9 / 2)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vector", r"1\.weight of shape \[2, 9\]: a linear layer has no kernels"),
        ("kernel", r"1\.weight of shape \[2, 9\]: a linear layer has no kernels"),
        ("block", r"0\.weight of shape \[4, 3, 3, 3\]: its 4 × 27 matrix .* blocks of 4 × 4"),
    ],
)
def test_a_tensor_that_cannot_be_cut_is_named(name, message):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(9, 2))
    with pytest.raises(ValueError, match=message):
        make_mask(model, criterion="magnitude", granularity=name, ratio=Uniform(0.5))


@pytest.mark.parametrize("sides", [(0, 1), (1, -1)])
def test_refuses_blocks_without_sides(sides):
    with pytest.raises(ValueError, match="1 row and column or more"):
        Block(*sides)


@pytest.mark.parametrize("p", [0, -1, float("nan")])
def test_refuses_what_is_no_norm(p):
    with pytest.raises(ValueError, match="p > 0"):
        lp_norm(ROWS, p)


def test_signed_scores_pool_by_their_sum_only():
    assert lp_norm(-ROWS, 1).tolist() == [-7, -6]
    with pytest.raises(ValueError, match="Negative scores"):
        lp_norm(-ROWS, 2)
