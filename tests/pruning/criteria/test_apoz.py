import pytest
import torch
from torch import nn

from pruning.criteria import APoZ
from pruning.masking import make_mask
from pruning.ratios import Uniform


def identity(activation):
    """Three channels that pass a 1×1 convolution unchanged, and an activation."""
    model = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), activation)
    model[0].weight.data = torch.eye(3).reshape(3, 3, 1, 1)
    return model


def with_zeros(counts):
    """Samples `[n, channels, 4, 4]` of ones, of which as many as told are negative, each channel in a sample."""
    inputs = torch.ones(*counts.shape, 16)
    for index in torch.cartesian_prod(*map(torch.arange, counts.shape)).tolist():
        inputs[*index, : counts[*index]] = -1
    return [(inputs.unflatten(-1, (4, 4)), torch.zeros(len(counts)))]


# The lecture's example: two samples, three channels of 4×4 values.
LECTURE = with_zeros(torch.tensor([[5, 5, 6], [6, 7, 8]]))


def test_the_lectures_three_channels():
    scores = APoZ().scores(identity(nn.ReLU()), ["0.weight"], LECTURE)["0.weight"]
    assert scores.shape == (3, 1, 1, 1)
    assert scores.flatten().tolist() == [1 - 11 / 32, 1 - 12 / 32, 1 - 14 / 32]


def test_the_channel_of_most_zeros_falls_first():
    choices = {"criterion": "apoz", "granularity": "filter", "data": LECTURE}
    mask = make_mask(identity(nn.ReLU()), ratio=Uniform(1 / 3), **choices)
    assert mask["0.weight"][:, 0, 0, 0].tolist() == [True, True, False]


@pytest.mark.parametrize("activation", [nn.ReLU(inplace=True), nn.ReLU6(), nn.ReLU6(inplace=True)], ids=repr)
def test_every_form_of_relu_is_found(activation):
    scores = APoZ().scores(identity(activation), ["0.weight"], LECTURE)["0.weight"]
    assert scores.flatten().tolist() == [1 - 11 / 32, 1 - 12 / 32, 1 - 14 / 32]


def test_agrees_with_counting_behind_the_relu(convnet, images):
    scores = APoZ().scores(convnet, ["conv1.weight", "conv2.weight"], images)
    convnet.eval()
    with torch.no_grad():
        first = torch.relu(convnet.bn1(convnet.conv1(torch.cat([inputs for inputs, _ in images]))))
        second = torch.relu(convnet.bn2(convnet.conv2(first)))
    for name, activation in (("conv1.weight", first), ("conv2.weight", second)):
        expected = 1 - (activation == 0).double().mean((0, 2, 3))
        assert torch.allclose(scores[name].flatten(), expected)


@pytest.mark.parametrize("activation", [nn.GELU(), nn.LeakyReLU(), nn.Hardtanh(-1, 1), nn.Identity()], ids=repr)
def test_refuses_a_layer_with_another_activation_by_its_name(activation):
    with pytest.raises(ValueError, match="No ReLU comes right behind 0 "):
        APoZ().scores(identity(activation), ["0.weight"], LECTURE)


def test_refuses_a_layer_whose_output_is_added_to_another_before_the_relu():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return torch.relu(x + self.conv(x))

    with pytest.raises(ValueError, match="No ReLU comes right behind conv "):
        APoZ().scores(Residual(), ["conv.weight"], LECTURE)


def test_zeros_of_an_input_channel_are_those_of_the_relu_before():
    model = nn.Sequential(identity(nn.ReLU()), nn.Conv2d(3, 2, 1))
    of_filters = APoZ().scores(model, ["0.0.weight"], LECTURE)["0.0.weight"]
    of_channels = APoZ(unit="channel").scores(model, ["1.weight"], LECTURE)["1.weight"]
    assert of_channels.flatten().tolist() == of_filters.flatten().tolist()


def test_an_input_with_negative_values_has_no_relu_before_it():
    with pytest.raises(ValueError, match=r"What 0 reads has negative values"):
        APoZ(unit="channel").scores(nn.Sequential(nn.Linear(2, 2)), ["0.weight"], [(-torch.ones(1, 2), torch.zeros(1))])
