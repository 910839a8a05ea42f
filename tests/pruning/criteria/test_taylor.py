import pytest
import torch
from torch import nn

from pruning.criteria import Snip, Taylor


def linear(weight):
    weight = torch.tensor(weight)
    model = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    model.weight.data = weight
    return model


def total(outputs, labels):
    """A loss that is linear in the weights: its first-order change is the change."""
    return (outputs * labels).sum(1).mean()


WEIGHT = [[3.0, -3.0, 1.0], [0.5, 2.0, -4.0]]
DATA = [
    (torch.tensor([[1.0, 1, 0], [3, 3, 0]]), torch.tensor([[1.0, 1], [1, 1]])),
    (torch.tensor([[2.0, 2, 6]]), torch.tensor([[1.0, -1]])),
]


def loss_without(model, index):
    """The mean loss over all samples with the weights at `index` set to zero."""
    pruned = linear(WEIGHT)
    pruned.weight.data[index] = 0
    return sum(len(t) * float(total(pruned(x), t).detach()) for x, t in DATA) / 3


@pytest.mark.parametrize(
    ("unit", "indices"),
    [
        ("weight", [(o, i) for o in range(2) for i in range(3)]),
        ("filter", [(o, slice(None)) for o in range(2)]),
        ("channel", [(slice(None), i) for i in range(3)]),
    ],
)
def test_is_the_change_of_the_loss_where_that_is_linear_in_the_weights(unit, indices):
    scores = Taylor(unit=unit, loss=total).scores(linear(WEIGHT), ["weight"], DATA)["weight"]
    dense = loss_without(None, ([], []))
    expected = [abs(loss_without(None, index) - dense) for index in indices]
    assert scores.numel() == len(indices)
    assert scores.flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_of_a_group_changes_cancel_and_absolute_values_do_not():
    model, data = linear([[3.0, -3.0]]), [(torch.ones(1, 2), torch.ones(1, 1))]
    assert Taylor(loss=total).scores(model, ["weight"], data)["weight"].tolist() == [[3, 3]]
    assert Taylor(loss=total, unit="filter").scores(model, ["weight"], data)["weight"].tolist() == [[0]]


def test_gradients_of_batches_cancel_and_importances_do_not():
    model, x = linear([[2.0]]), torch.ones(1, 1)
    data = [(x, torch.ones(1, 1)), (x, -torch.ones(1, 1))]
    assert Taylor(loss=total).scores(model, ["weight"], data)["weight"].item() == 0
    assert Taylor(loss=total, average="importances").scores(model, ["weight"], data)["weight"].item() == 2


def test_groups_pool_to_their_own_score():
    assert Taylor().p == 1
    assert Taylor(unit="filter").p == float("inf")


def test_a_weight_without_effect_scores_nothing(convnet, images):
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = convnet, nn.Linear(2, 2)

        def forward(self, x):
            return self.used(x)

    scores = Taylor().scores(Spare(), ["used.head.weight", "spare.weight"], images)
    assert scores["used.head.weight"].sum() > 0
    assert not scores["spare.weight"].any()


def test_refuses_a_loss_without_gradient(convnet, images):
    with pytest.raises(ValueError, match=r"no gradient with respect to head\.weight"):
        Taylor(loss=lambda outputs, labels: outputs.argmax().double()).scores(convnet, ["head.weight"], images)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"unit": "filters"}, "unit of Taylor is one of weight, filter, channel, not 'filters'"),
        ({"average": "squares"}, "average of Taylor is one of gradients, importances, not 'squares'"),
    ],
)
def test_refuses_choices_it_does_not_have(wrong, message):
    with pytest.raises(ValueError, match=message):
        Taylor(**wrong)


def test_refuses_a_loss_that_is_not_one_number(convnet, images):
    with pytest.raises(ValueError, match=r"must be one number.* shape \[6, 3\]"):
        Taylor(loss=lambda outputs, labels: outputs).scores(convnet, ["head.weight"], images)


@pytest.mark.parametrize("criterion", [Taylor, Snip])
def test_the_loss_scaled_up_orders_weights_alike(convnet, images, criterion):
    names = ["conv1.weight", "conv2.weight"]
    plain = criterion().scores(convnet, names, images)
    scaled = criterion(loss=lambda o, t: 4 * nn.functional.cross_entropy(o, t)).scores(convnet, names, images)
    for name in names:
        factor = 4 if criterion is Taylor else 1
        assert torch.allclose(scaled[name], factor * plain[name], rtol=1e-5)
