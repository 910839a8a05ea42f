import pytest
import torch
from torch import nn

from pruning.criteria import BatchNormScale
from pruning.granularity import Filter
from pruning.masking import make_mask
from pruning.ratios import Global


class Crossed(nn.Module):
    """Batch norms defined in another order than that of their convolutions."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.bn2, self.bn1 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))


class Branching(nn.Module):
    """A convolution that a batch norm and a shortcut read, and one that a sum reads."""

    def __init__(self):
        super().__init__()
        self.stem, self.bn, self.conv = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.stem(x)
        return x + self.conv(self.bn(x))


class Untraceable(Crossed):
    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


def scales(*values):
    return torch.tensor(values)


def data(*shape):
    return [(torch.randn(shape, generator=torch.Generator().manual_seed(0)), torch.zeros(shape[0]))]


@pytest.mark.parametrize("given", [None, data(2, 3, 4, 4)], ids=["traced", "run"])
def test_the_scale_is_found_by_the_flow_of_data_not_by_the_order_of_definition(given):
    model = Crossed()
    model.bn1.weight.data = scales(1.0, -2, 0, 3)
    model.bn2.weight.data = scales(5.0, 6, -7, 8)
    scores = BatchNormScale().scores(model, ["conv1.weight", "conv2.weight"], given)
    assert scores["conv1.weight"].shape == (4, 1, 1, 1)
    assert scores["conv1.weight"].flatten().tolist() == [1, 2, 0, 3]
    assert scores["conv2.weight"].flatten().tolist() == [5, 6, 7, 8]


def test_with_data_even_a_model_that_cannot_be_traced_is_followed():
    with pytest.raises(ValueError, match=r"could not be traced .* Give BatchNormScale one batch"):
        BatchNormScale().scores(Untraceable(), ["conv1.weight"])
    assert BatchNormScale().scores(Untraceable(), ["conv1.weight"], data(2, 3, 4, 4))["conv1.weight"].eq(1).all()


@pytest.mark.parametrize("given", [None, data(2, 3, 4, 4)], ids=["traced", "run"])
@pytest.mark.parametrize("layer", ["stem", "conv"])
def test_refuses_a_layer_that_no_batch_norm_reads_alone(layer, given):
    with pytest.raises(ValueError, match=f"No batch norm reads the output of {layer} alone"):
        BatchNormScale().scores(Branching(), [f"{layer}.weight"], given)


@pytest.mark.parametrize("given", [None, data(2, 3, 4, 4)], ids=["traced", "run"])
def test_a_batch_norm_of_several_layers_belongs_to_none(given):
    norm = nn.BatchNorm2d(3)
    model = nn.Sequential(nn.Conv2d(3, 3, 1), norm, nn.Conv2d(3, 3, 1), norm)
    with pytest.raises(ValueError, match="No batch norm reads the output of 0 alone"):
        BatchNormScale().scores(model, ["0.weight"], given)


def test_refuses_a_batch_norm_without_scale():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False))
    with pytest.raises(ValueError, match=r"batch norm 1 behind 0 has no scale"):
        BatchNormScale().scores(model, ["0.weight"])


def test_one_threshold_over_all_layers_whatever_the_size_of_filters():
    model = Crossed()
    model.conv1 = nn.Conv2d(3, 4, 5, padding=2)  # 75 weights a filter, against 4
    model.bn1.weight.data, model.bn2.weight.data = scales(0.1, 0.6, 0.3, 0.8), scales(0.5, 0.2, 0.7, 0.4)
    mask = make_mask(model, criterion="batch_norm", granularity=Filter(), ratio=Global(0.5))
    assert mask["conv1.weight"][:, 0, 0, 0].tolist() == [False, True, False, True]
    assert mask["conv2.weight"][:, 0, 0, 0].tolist() == [True, False, True, False]


def test_a_linear_layer_has_its_batch_norm_too():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    model[1].weight.data = scales(-1.0, 2)
    for given in (None, data(4, 3)):
        assert BatchNormScale().scores(model, ["0.weight"], given)["0.weight"].tolist() == [[1], [2]]
