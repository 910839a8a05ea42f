import pytest
import torch
from torch import nn

from pruning.masking import make_mask
from pruning.ratios import Problem
from pruning.ratios.cost import LayerCost, cost_of, layer_costs, masked_macs, shrunk_cost
from pruning.shrinking import coupled, from_channels, shrink


def filters_of(model, ratio, within):
    names = [name.removesuffix(".weight") for name in ratio.sparsity]
    return make_mask(model, criterion="magnitude", granularity="filter", ratio=ratio, layers=names, within=within)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=4),
        nn.Flatten(),
        nn.Linear(8 * 4 * 3, 10),
    )


def test_macs_and_shapes_by_hand():
    costs = layer_costs(network(), torch.zeros(5, 3, 8, 6))
    assert costs == {
        "0.weight": LayerCost(8, 3, 8, 6, kernel=3, stride=1, macs=8 * 3 * 9 * 48),
        "2.weight": LayerCost(8, 2, 8, 6, kernel=3, stride=2, macs=8 * 2 * 9 * 12),
        "4.weight": LayerCost(10, 96, 1, 1, kernel=1, stride=1, macs=960),
    }
    assert masked_macs(costs, {"0.weight": 0.5}) == 10368 / 2 + 1728 + 960


def test_token_models_and_shared_weights():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.up, self.twin = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 4)
            self.twin.weight = self.up.weight
            self.conv = nn.Conv1d(4, 6, 3, padding=1)

        def forward(self, tokens):
            return self.conv(self.twin(self.up(self.embed(tokens))).transpose(1, 2))

    costs = layer_costs(Tokens(), torch.zeros(2, 7, dtype=torch.int64))
    assert costs["up.weight"] == LayerCost(4, 4, 1, 7, kernel=1, stride=1, macs=2 * 16 * 7)
    assert costs["conv.weight"] == LayerCost(6, 4, 1, 7, kernel=3, stride=1, macs=6 * 4 * 3 * 7)
    assert "twin.weight" not in costs


def test_the_model_is_left_as_it_was():
    model = network().train()
    model[1].eval()
    before, state = {name: t.clone() for name, t in model.state_dict().items()}, torch.random.get_rng_state()
    layer_costs(model, torch.randn(5, 3, 8, 6, generator=torch.Generator().manual_seed(0)))
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(module._forward_hooks for module in model.modules())


def chain_problem(**choices):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 2, bias=False))
    choices = {"example_inputs": torch.zeros(1, 4), **choices}
    return Problem(model, ("0.weight",), filters_of, **choices)


def without_rows(model, mask):
    """Take the pruned rows of the first layer out, and the columns that read them."""
    rows = mask["0.weight"].any(1)
    small = nn.Sequential(nn.Linear(4, int(rows.sum()), bias=False), nn.Linear(int(rows.sum()), 2, bias=False))
    small[0].weight.data, small[1].weight.data = model[0].weight.data[rows], model[1].weight.data[:, rows]
    return small


def test_masking_bounds_what_shrinking_saves():
    masked, shrunk = cost_of(chain_problem()), cost_of(chain_problem(shrink=without_rows))
    assert masked({}) == shrunk({}) == 4 * 8 + 8 * 2
    assert masked({"0.weight": 0.5}) == 4 * 4 + 8 * 2
    assert shrunk({"0.weight": 0.5}) == 4 * 4 + 4 * 2


def test_each_pruned_model_is_measured_once():
    measured = []

    def measure(model):
        measured.append(model[0].weight.shape[0])
        return 100.0 * len(measured)

    cost = shrunk_cost(chain_problem(shrink=without_rows), measure)
    assert [cost({"0.weight": share}) for share in (0.5, 0.51, 0.49, 0.25)] == [100, 100, 100, 200]
    assert measured == [4, 6]


def test_models_that_lose_other_channels_are_measured_apart():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    inputs = torch.ones(1, 6)

    def channels_of(model, ratio, within):
        mask = make_mask(model, criterion="magnitude", granularity="channel", ratio=ratio, layers=["2"])
        return coupled(model, from_channels(model, mask, inputs), inputs)

    problem = Problem(
        model, ("2.weight",), channels_of, shrink=lambda model, mask: shrink(model, mask, inputs), group_dim=1
    )
    cost = shrunk_cost(problem, lambda small: float(small[0].out_features))
    assert problem.widths == {"2.weight": 8}
    assert [cost({"2.weight": share}) for share in (0.75, 0.5, 0.625)] == [2, 4, 3]


def test_says_what_is_missing():
    with pytest.raises(ValueError, match="example_inputs="):
        cost_of(chain_problem(example_inputs=None))
    model = nn.ModuleDict({"used": nn.Linear(2, 2), "idle": nn.Linear(2, 2)})
    model.forward = model["used"].forward
    with pytest.raises(ValueError, match=r"idle\.weight is not the weight of a .* that the inputs pass"):
        cost_of(Problem(model, ("idle.weight",), filters_of, example_inputs=torch.zeros(1, 2)))
