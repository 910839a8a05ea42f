from itertools import combinations

import pytest
import torch
from torch import nn

from pruning.criteria import FeatureMap, Magnitude, Regression

# The lecture's 3×3 filter; over a patch of ones it gives -4.
LECTURE = torch.tensor([-8.0, 3, 2, 1, -3, -2, 1, 1, 1])


def lecture():
    model = nn.Linear(9, 1, bias=False)  # each weight an input channel of its own
    model.weight.data = LECTURE[None]
    return model, [(torch.ones(1, 9), torch.zeros(1))]


def error_without(lowest_first, count):
    return abs(float(LECTURE[lowest_first.flatten().argsort(stable=True)[:count]].sum()))


def test_the_lectures_filter_magnitude_against_feature_map():
    model, data = lecture()
    assert model(torch.ones(1, 9)).tolist() == [[-4]]
    magnitude = Magnitude().scores(model, ["weight"])["weight"]
    greedy = FeatureMap(greedy=True).scores(model, ["weight"], data)["weight"]
    # The four smallest weights are all 1: without them the output is -8. The lecture takes out
    # 3, 2, -3 and -2, which cancel. The greedy order finds three that cancel, -2, 1 and 1, but with
    # its fourth the output changes by 1: greedy is near the best choice, not the best.
    assert error_without(magnitude, 4) == 4
    assert error_without(greedy, 3) == 0
    assert error_without(greedy, 4) == 1
    assert min(abs(float(sum(chosen))) for chosen in combinations(LECTURE.tolist(), 4)) == 0


LAYERS = [
    (nn.Linear(4, 3), (5, 4)),
    (nn.Linear(4, 3), (5, 2, 4)),
    (nn.Conv1d(4, 3, 3, padding=1), (5, 4, 6)),
    (nn.Conv2d(4, 3, 3, stride=2, padding=1, dilation=2), (5, 4, 7, 7)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=repr)
@torch.no_grad()
def test_energy_is_the_change_of_the_output_when_a_channel_goes(layer, shape):
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    scores = FeatureMap(positions=None).scores(nn.Sequential(layer), ["0.weight"], [(inputs, torch.zeros(5))])
    assert scores["0.weight"].shape == (1, 4, *[1] * (layer.weight.ndim - 2))
    dense = layer(inputs)
    positions = dense.numel() // 3
    for channel in range(4):
        weight = layer.weight.clone()
        weight[:, channel] = 0
        changed = torch.func.functional_call(layer, {"weight": weight}, (inputs,))
        expected = float(((changed - dense) ** 2).sum()) / positions
        assert float(scores["0.weight"].flatten()[channel]) == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_each_greedy_step_is_the_best_one():
    torch.manual_seed(0)
    layer, inputs = nn.Conv2d(5, 3, 2), torch.randn(4, 5, 4, 4)
    places = FeatureMap(greedy=True, positions=None).scores(
        nn.Sequential(layer), ["0.weight"], [(inputs, torch.ones(4))]
    )
    order = places["0.weight"].flatten().argsort().tolist()
    assert sorted(places["0.weight"].flatten().tolist()) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])

    def change(gone):
        weight = torch.zeros_like(layer.weight)
        weight[:, gone] = layer.weight[:, gone]
        return float((torch.conv2d(inputs, weight) ** 2).sum())

    for step, chosen in enumerate(order):
        others = [change([*order[:step], other]) for other in order[step:]]
        assert change([*order[:step], chosen]) == pytest.approx(min(others), rel=1e-5)


def test_positions_are_sampled_by_the_seed(convnet, images):
    def scores(**choices):
        return FeatureMap(**choices).scores(convnet, ["conv1.weight"], images)["conv1.weight"]

    assert torch.equal(scores(positions=3, seed=1), scores(positions=3, seed=1))
    assert not torch.equal(scores(positions=3, seed=1), scores(positions=3, seed=2))
    assert torch.equal(scores(positions=49), scores(positions=None))


@pytest.mark.parametrize("criterion", [FeatureMap, Regression])
def test_refuses_grouped_convolutions_layers_aside_and_no_positions(criterion):
    grouped = nn.Sequential(nn.Conv2d(4, 4, 1, groups=2))
    data = [(torch.ones(1, 4, 2, 2), torch.zeros(1))]
    with pytest.raises(ValueError, match=f"{criterion.__name__} judges input channels, and 0 is a grouped"):
        criterion().scores(grouped, ["0.weight"], data)

    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.spare = nn.Linear(2, 2)

        def forward(self, x):
            return x

    with pytest.raises(ValueError, match="do not pass through spare"):
        criterion().scores(Aside(), ["spare.weight"], data)
    with pytest.raises(ValueError, match="1 output position a sample or more"):
        criterion(positions=0)
