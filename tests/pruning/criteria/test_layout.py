import pytest
import torch
from torch import nn

from pruning.criteria.layout import by_position, by_unit, for_inputs, for_outputs, patches

LAYERS = [
    (nn.Linear(3, 4), (2, 3)),
    (nn.Linear(3, 4), (2, 5, 3)),
    (nn.Conv1d(3, 4, 3, stride=2, padding=1), (2, 3, 8)),
    (nn.Conv2d(3, 4, (3, 2), stride=(1, 2), padding=(2, 0), dilation=(2, 1)), (2, 3, 7, 6)),
    (nn.Conv2d(3, 4, 3, padding="same", padding_mode="reflect"), (2, 3, 5, 5)),
    (nn.Conv3d(3, 4, 2), (2, 3, 3, 4, 5)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=repr)
@torch.no_grad()
def test_a_layer_multiplies_its_weights_with_patches_of_its_input(layer, shape):
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    outputs = layer(inputs)
    weight = layer.weight.reshape(4, 3, -1)
    again = torch.einsum("nsck,ock->nso", patches(layer, inputs), weight) + layer.bias
    assert torch.allclose(again, by_position(layer, outputs), atol=1e-5)
    assert torch.allclose(by_unit(layer, outputs).sum(1), by_position(layer, outputs).sum((0, 1)), atol=1e-4)


@pytest.mark.parametrize(("layer", "shape"), LAYERS[1:4], ids=repr)
def test_scores_of_units_and_channels_broadcast_to_the_weight(layer, shape):
    of_unit = for_outputs(torch.arange(4.0), layer).expand(layer.weight.shape)
    of_channel = for_inputs(torch.arange(3.0), layer).expand(layer.weight.shape)
    assert (of_unit[2] == 2).all()
    assert (of_channel[:, 1] == 1).all()
