import math

import pytest
import torch

from pruning.granularity import Element, Filter, lp_norm

# Two rows of a weight matrix, worked by hand.
ROWS = torch.tensor([[3.0, 4.0], [1.0, 5.0]])


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


def test_the_norm_decides_which_row_matters_more():
    assert Filter().pool(ROWS, 1).argmax() == 0
    assert Filter().pool(ROWS, 2).argmax() == 1


@pytest.mark.parametrize("p", [0.5, 1, 2, 3])
def test_normalised_scores_do_not_depend_on_the_size_of_a_group(p):
    small, large = torch.full((1, 4), 0.3), torch.full((1, 64, 3, 3), 0.3)
    assert Filter(normalise=True).pool(small, p).item() == pytest.approx(Filter(normalise=True).pool(large, p).item())
    assert Filter().pool(small, p).item() < Filter().pool(large, p).item()


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2, 2), (4, 3, 5)])
def test_filters_are_the_first_dimension(shape):
    kept = torch.tensor([True, False, False, True])
    mask = Filter().expand(kept, torch.Size(shape))
    assert mask.shape == shape
    assert mask.flatten(1).all(1).tolist() == mask.flatten(1).any(1).tolist() == kept.tolist()
    assert Filter().group_size(torch.Size(shape)) == mask[0].numel()


def test_elements_keep_their_place():
    scores = torch.arange(24.0).reshape(2, 3, 2, 2)
    pooled = Element().pool(scores, 2)
    assert torch.equal(Element().expand(pooled > 10, scores.shape), scores > 10)
    assert Element().group_size(scores.shape) == 1


@pytest.mark.parametrize("p", [0, -1, float("nan")])
def test_refuses_what_is_no_norm(p):
    with pytest.raises(ValueError, match="p > 0"):
        lp_norm(ROWS, p)


def test_signed_scores_pool_by_their_sum_only():
    assert lp_norm(-ROWS, 1).tolist() == [-7, -6]
    with pytest.raises(ValueError, match="Negative scores"):
        lp_norm(-ROWS, 2)
