import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pruning.criteria import Relevance
from pruning.criteria.relevance import linear_error
from pruning.granularity import Filter


def of_units(criterion, model, name, data):
    """What a filter's score is, behind pooling."""
    scores = criterion.scores(model, [name], data)[name]
    return Filter().pool(scores.expand(model.get_parameter(name).shape), criterion.p)


def leave_one_out(model, layer, data, loss):
    """The error without each output unit of `layer` less the error with it, mean over samples."""
    model.eval()

    @torch.no_grad()
    def error(unit):
        def silence(module, inputs, output):
            output = output.clone()
            if unit is not None:
                output[:, unit] = 0
            return output

        handle = model.get_submodule(layer).register_forward_hook(silence)
        total = sum(len(t) * float(loss(model(x), t)) for x, t in data)
        handle.remove()
        return total / sum(len(t) for _, t in data)

    width = len(model.get_submodule(layer).weight)
    return torch.tensor([error(unit) for unit in range(width)]) - error(None)


def far_targets(inputs):
    return [(inputs[:3], torch.full((3, 2), 100.0)), (inputs[3:], torch.full((len(inputs) - 3, 2), 100.0))]


def test_is_exact_where_the_error_is_linear_in_the_gates():
    torch.manual_seed(0)
    # With targets out of reach |t - o| is t - o, and o is linear in the gate even through the ReLU.
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    data = far_targets(torch.randn(5, 4))
    expected = leave_one_out(model, "0", data, linear_error)
    assert of_units(Relevance(), model, "0.weight", data).tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    assert expected.min() < 0 < expected.max(), "some units do harm"


def test_the_gate_sits_behind_the_batch_norm(convnet, images):
    # Without the unit its shift is gone too.
    data = [(inputs, torch.full((len(inputs), 3), 100.0)) for inputs, _ in images]
    expected = leave_one_out(convnet, "bn2", data, linear_error)
    assert of_units(Relevance(), convnet, "conv2.weight", data).tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_ranks_units_as_leaving_each_out_does():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 4, generator=generator)
    labels = (inputs[:, 0] > 0).long()
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    with torch.no_grad():  # each unit reads the input that tells the class, and is heard less than the one before
        model[0].weight.zero_()[:, 0] = 0.5
        model[0].bias.zero_()
        model[2].weight.copy_(torch.tensor([[-1.0], [1.0]]) * torch.tensor([0.8, 0.4, 0.2, 0.1, -0.3]))
        model[2].bias.zero_()
    data = [(inputs, labels)]
    for loss in (linear_error, F.cross_entropy):
        found = of_units(Relevance(loss=loss), model, "0.weight", data)
        exact = leave_one_out(model, "0", data, loss)
        assert found.argsort().tolist() == exact.argsort().tolist() == [4, 3, 2, 1, 0]


def test_the_exponential_average_weighs_late_batches_more():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    data = far_targets(torch.randn(5, 4))
    first, second = (of_units(Relevance(), model, "0.weight", [batch]) for batch in data)
    found = of_units(Relevance(decay=0.8), model, "0.weight", data)
    assert torch.allclose(found, 0.8 * first + 0.2 * second, atol=1e-5)
    mean = of_units(Relevance(), model, "0.weight", data)
    assert torch.allclose(mean, (3 * first + 2 * second) / 5, atol=1e-5)


def test_the_linear_error_of_labels_is_that_of_their_probabilities():
    logits = torch.tensor([[0.0, 0.0], [0.0, 100.0]])
    assert float(linear_error(logits, torch.tensor([0, 0]))) == pytest.approx((1 + 2) / 2)
    assert float(linear_error(logits, torch.tensor([[0.0, 1.0], [0.0, 98.0]]))) == pytest.approx((1 + 2) / 2)


def test_refuses_a_layer_that_does_not_reach_the_error():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            self.spare(x)
            return self.used(x)

    data = [(torch.ones(1, 2), torch.tensor([0]))]
    for names in (["spare.weight"], ["used.weight", "spare.weight"]):
        with pytest.raises(ValueError, match="does not depend on the output of spare"):
            Relevance().scores(Spare(), names, data)


@pytest.mark.parametrize("decay", [1, -0.1, float("nan")])
def test_refuses_a_decay_out_of_range(decay):
    with pytest.raises(ValueError, match="decay of Relevance"):
        Relevance(decay=decay)
