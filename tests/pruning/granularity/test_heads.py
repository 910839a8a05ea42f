import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning.granularity import Heads


def test_heads_by_hand():
    """4×2, two rows a head: |1|+|2|+|3|+|4| = 10 and 26. As columns, one a head: 1+3+5+7 and 2+4+6+8."""
    weight = torch.arange(1.0, 9).reshape(4, 2)
    assert Heads(2).pool(weight, 1).tolist() == [10, 26]
    assert Heads(1, dim=1).pool(weight, 1).tolist() == [16, 20]
    assert Heads(2, normalise=True).pool(weight, 1).tolist() == [2.5, 6.5]
    assert Heads(2).expand(torch.tensor([False, True]), weight.shape).tolist() == [[False] * 2] * 2 + [[True] * 2] * 2
    assert Heads(1, dim=1).expand(torch.tensor([False, True]), weight.shape).tolist() == [[False, True]] * 4


@settings(max_examples=30, deadline=None)
@given(heads=st.integers(1, 5), size=st.integers(1, 4), other=st.integers(1, 4), dim=st.integers(0, 1), data=st.data())
def test_pooling_a_mask_gives_back_the_heads_it_keeps(heads, size, other, dim, data):
    shape = torch.Size([heads * size, other] if dim == 0 else [other, heads * size])
    kept = torch.tensor(data.draw(st.lists(st.booleans(), min_size=heads, max_size=heads)))
    groups = Heads(size, dim=dim)
    mask = groups.expand(kept, shape)
    assert mask.shape == shape and int(mask.sum()) == int(kept.sum()) * groups.group_size(shape)
    assert torch.equal(groups.pool(mask.float(), float("inf")) > 0, kept)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="head_size=0"):
        Heads(0)
    with pytest.raises(ValueError, match="dim=2"):
        Heads(4, dim=2)
    with pytest.raises(ValueError, match="no multiple of the head size"):
        Heads(5).group_size(torch.Size([12, 12]))
    with pytest.raises(ValueError, match="linear layer"):
        Heads(1).pool(torch.ones(2, 2, 3, 3), 1)
