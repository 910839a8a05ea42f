import warnings
from itertools import combinations

import pytest
import torch
from torch import nn

from pruning.criteria import FeatureMap, Regression


def channels(columns, weight):
    """A linear layer of `weight` and data whose inputs are `columns`, `[samples, c_i]`."""
    layer = nn.Linear(columns.shape[1], len(weight), bias=False)
    layer.weight.data = weight
    return nn.Sequential(layer), [(columns, torch.zeros(len(columns)))]


def scores(model, data, criterion=Regression):
    return criterion(positions=None).scores(model, ["0.weight"], data)["0.weight"].flatten()


def best_subset(columns, weight, count):
    """By trying all: the channels that explain the output best, each with a coefficient of its own."""
    terms = (columns[:, :, None] * weight.T[None]).permute(0, 2, 1).flatten(0, 1).double()  # [samples · c_o, c_i]
    target = terms.sum(1)

    def error(chosen):
        kept = terms[:, chosen]
        miss = (kept @ torch.linalg.lstsq(kept, target[:, None]).solution)[:, 0] - target
        # A channel and its repetition span the same: rounding must not decide, the stronger one does.
        return round(float(miss.norm()), 6), -float(kept.norm())

    return set(min(combinations(range(columns.shape[1]), count), key=error))


HADAMARD = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])


def test_of_orthogonal_channels_the_energy_decides():
    weight = torch.tensor([[1.0, 3, 0.5, 2], [0, 0, 0.5, 0]])
    found = scores(*channels(HADAMARD, weight))
    # Then each coefficient leaves at a penalty equal to its channel's energy, here in units of 9.
    assert found.tolist() == pytest.approx([1 / 9, 1, 0.5 / 9, 4 / 9])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_finds_the_best_subset_that_trying_all_finds(count):
    torch.manual_seed(4)
    # Strong, weak and redundant channels: 3 repeats channel 0, at half its size.
    columns = torch.randn(60, 5) * torch.tensor([2.0, 0.1, 1.0, 1.0, 0.4])
    columns[:, 3] = columns[:, 0] / 2
    weight = torch.ones(1, 5)
    found = scores(*channels(columns, weight))
    kept = set(found.argsort(descending=True)[:count].tolist())
    assert kept == best_subset(columns, weight, count)


def test_a_channel_that_repeats_another_is_not_needed():
    columns = HADAMARD[:, [0, 1, 1, 2]] * torch.tensor([1.0, 3, 2, 1.5])
    model, data = channels(columns, torch.ones(1, 4))
    assert scores(model, data).tolist().count(0) == 1
    assert scores(model, data)[2] == 0
    assert scores(model, data, FeatureMap).argmin() == 0  # which looks at each channel by itself


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e4])
def test_scores_do_not_depend_on_the_scale_of_outputs(factor):
    torch.manual_seed(0)
    columns, weight = torch.randn(20, 6), torch.randn(3, 6)
    expected = scores(*channels(columns, weight))
    assert scores(*channels(columns, factor * weight)).tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def test_dead_channels_score_nothing_and_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scores(*channels(torch.zeros(4, 3), torch.ones(2, 3))).tolist() == [0, 0, 0]
        one_alive = torch.tensor([[0.0, 2, 0], [0, 1, 0]])
        assert scores(*channels(one_alive, torch.ones(2, 3))).tolist() == [0, 1, 0]
        assert scores(*channels(torch.ones(2, 1), torch.ones(1, 1))).tolist() == [1]
