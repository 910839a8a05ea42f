import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruning.criteria import Random
from pruning.granularity import NM
from pruning.masking import make_mask

few_values = st.sampled_from([float("-inf"), -1.0, 0.0, 1.0, 2.0, float("inf")])


def positions_and_values(weight, mask, n, m):
    """The compressed values `[rows, columns·n/m]` and the place of each in its run of `m`."""
    rows = weight.shape[0]
    return mask.nonzero()[:, 1].reshape(rows, -1) % m, weight[mask].reshape(rows, -1)


def test_the_lecture_s_matrix_compressed():
    # The notes call the matrix 8×8 and print it with 4 columns; so 8 rows of one run each.
    left, right = [1, 0, 2, 0], [0, 1, 0, 2]  # places of the two values in a row, 0 where none is
    number = torch.tensor([left, left, right, right, left, left, right, right]).float()
    weight = (number + 2 * torch.arange(8.0)[:, None]) * (number > 0)  # w1 … w16
    mask = NM(2, 4).best(weight.abs(), 1)
    assert torch.equal(mask, weight != 0)
    positions, values = positions_and_values(weight, mask, 2, 4)
    assert values.tolist() == [[2 * row + 1, 2 * row + 2] for row in range(8)]
    # The notes print the index rows as 00 00 01 01 and 10 10 11 11. No run can hold a place twice: the
    # first row keeps places 0 and 2, so 00 10, and the third keeps 1 and 3, so 01 11.
    codes = [" ".join(f"{place:02b}" for place in row) for row in positions.tolist()]
    assert codes == ["00 10", "00 10", "01 11", "01 11"] * 2


def test_a_row_of_two_runs_needs_two_bits_for_each_value():
    # Places 0 and 3 of the first run, 1 and 2 of the second. The notes count 4 bits for this row; 4 bits
    # is one run (two values of 2 bits), so the row takes 8.
    row = torch.tensor([[5.0, 1, -2, 7, 0, 3, -4, 2]])
    positions, values = positions_and_values(row, NM().best(row.abs(), 1), 2, 4)
    assert positions.tolist() == [[0, 3, 1, 2]]
    assert values.tolist() == [[5, 7, 3, -4]]
    assert sum((4 - 1).bit_length() for _ in positions[0]) == 8


@given(st.data(), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.sampled_from([(), (3,), (2, 3)]))
def test_exactly_n_of_every_m_stay_the_best_and_the_first_of_equals(data, m, runs, outputs, kernel):
    n = data.draw(st.integers(0, m))
    shape = (outputs, runs * m, *kernel)
    count = torch.Size(shape).numel()
    scores = torch.tensor(data.draw(st.lists(few_values, min_size=count, max_size=count))).reshape(shape)
    mask = NM(n, m).best(scores, 1)
    assert mask.shape == scores.shape
    cut, chosen = scores.movedim(1, -1).reshape(-1, m), mask.movedim(1, -1).reshape(-1, m)
    for run, kept in zip(cut.tolist(), chosen.tolist(), strict=True):
        best = sorted(range(m), key=lambda place: (-run[place], place))[:n]
        assert [place for place in range(m) if kept[place]] == sorted(best)


def test_a_convolution_is_cut_along_its_input_channels_at_each_place_of_the_kernel():
    scores = torch.zeros(1, 4, 1, 2)
    scores[0, :, 0, 0] = torch.tensor([1.0, 2, 3, 4])
    scores[0, :, 0, 1] = torch.tensor([4.0, 3, 2, 1])
    mask = NM(2, 4).best(scores, 1)
    assert mask[0, :, 0, 0].tolist() == [False, False, True, True]
    assert mask[0, :, 0, 1].tolist() == [True, True, False, False]


def test_within_an_earlier_mask_what_is_gone_stays_gone():
    model = nn.Linear(8, 4)
    first = make_mask(model, criterion=Random(1), granularity=NM(3, 4))
    second = make_mask(model, criterion=Random(2), granularity="nm", within=first)
    assert second & first == second
    assert second.counts() == {"weight": (16, 32)}  # three were left to choose two from
    third = make_mask(model, criterion=Random(3), granularity=NM(3, 4), within=second)
    assert third == second


def test_a_tensor_that_does_not_fit_is_named():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))
    with pytest.raises(ValueError, match=r"0\.weight of shape \[8, 3, 3, 3\]: 2:4 takes inputs in runs of 4, and 3 is"):
        make_mask(model, criterion="magnitude", granularity="nm")
    assert make_mask(model, criterion="magnitude", granularity="nm", skip_first_conv=True).sparsity == 0.5


@pytest.mark.parametrize(("n", "m"), [(5, 4), (-1, 4), (0, 0)])
def test_refuses_more_kept_than_there_are(n, m):
    with pytest.raises(ValueError, match=f"not {n}:{m}"):
        NM(n, m)
