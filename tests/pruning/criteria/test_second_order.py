import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from pruning.criteria import OptimalBrainDamage
from pruning.criteria.second_order import gauss_newton_diagonal, hutchinson_diagonal

ESTIMATES = ["gauss_newton", "hutchinson"]


def half_square(outputs, labels):
    return ((outputs - labels) ** 2).sum(1).mean() / 2


def hessian(model, name, data, loss):
    """The exact Hessian of the mean loss by one parameter, `[weights, weights]`."""
    weight = model.get_parameter(name).detach()
    samples = sum(len(labels) for _, labels in data)

    def mean_loss(flat):
        changed = {name: flat.reshape(weight.shape)}
        return sum(len(t) * loss(functional_call(model, changed, (x,)), t) for x, t in data) / samples

    return torch.autograd.functional.hessian(mean_loss, weight.flatten())


def fisher_diagonal(model, name, inputs):
    """The mean over samples of Σ_k p_k·(∂ log p_k / ∂w)², class by class."""
    weight, total = model.get_parameter(name), 0
    for x in inputs.split(1):
        log_p = model(x).log_softmax(1)[0]
        for one in log_p:
            (slope,) = torch.autograd.grad(one, weight, retain_graph=True)
            total = total + one.exp().detach() * slope**2
    return total / len(inputs)


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_a_quadratic_whose_hessian_is_known(estimate):
    # Sample i is a_i on axis i: loss ½·Σ (a_i·w_i - t_i)² / 3, so h_ii = a_i²/3 and the rest is zero.
    model = nn.Linear(3, 1, bias=False)
    model.weight.data = torch.tensor([[1.0, -2.0, 0.5]])
    data = [(torch.diag(torch.tensor([3.0, 1.0, 6.0])), torch.tensor([[3.0], [-2.0], [3.0]]))]  # all targets are met
    criterion = OptimalBrainDamage(estimate=estimate, probes=1, loss=half_square)
    saliency = criterion.scores(model, ["weight"], data)["weight"]
    assert saliency.tolist() == [pytest.approx([9 * 1 / 6, 1 * 4 / 6, 36 * 0.25 / 6])]
    # At the minimum of a quadratic the saliency is the rise of the loss itself.
    for i in range(3):
        pruned = model.weight.data.clone()
        pruned[0, i] = 0
        rise = half_square(F.linear(data[0][0], pruned), data[0][1])
        assert float(rise) == pytest.approx(float(saliency[0, i]))


def test_gauss_newton_is_the_hessian_where_outputs_are_linear_in_the_weights():
    torch.manual_seed(0)
    model, data = nn.Linear(4, 3), [(torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0]))]
    exact = hessian(model, "weight", data, F.cross_entropy).diagonal().reshape(3, 4)
    estimate = gauss_newton_diagonal(model, ["weight"], data, F.cross_entropy)["weight"]
    assert torch.allclose(estimate, exact, rtol=1e-4, atol=1e-6)


def test_gauss_newton_is_the_fisher_information_for_the_cross_entropy(convnet, images):
    names = ["conv1.weight", "conv2.weight", "head.weight"]
    estimate = gauss_newton_diagonal(convnet, names, images, F.cross_entropy)
    convnet.eval()
    for name in names:
        exact = fisher_diagonal(convnet, name, torch.cat([inputs for inputs, _ in images]))
        assert torch.allclose(estimate[name], exact, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(4, 4, 3, groups=2, stride=2, padding=1), (3, 4, 5, 5)),
        (nn.Conv1d(4, 4, 2, dilation=2, groups=4), (3, 4, 6)),
        (nn.Linear(4, 4), (3, 2, 4)),
    ],
    ids=repr,
)
def test_gauss_newton_of_any_layer_even_one_that_runs_twice(layer, shape):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            first, second = self.layer(x).tanh_(), self.layer(-2 * x).tanh_()
            return torch.stack([first.flatten(1).sum(1), second.flatten(1).sum(1), second.flatten(1).amax(1)], 1)

    model, inputs = Twice(), torch.randn(shape, generator=torch.Generator().manual_seed(0))
    estimate = gauss_newton_diagonal(model, ["layer.weight"], [(inputs, torch.tensor([0, 1, 2]))], F.cross_entropy)
    assert torch.allclose(
        estimate["layer.weight"], fisher_diagonal(model, "layer.weight", inputs), rtol=1e-3, atol=1e-6
    )


def test_hutchinson_is_within_its_own_noise_of_the_exact_diagonal():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    data, probes = [(torch.randn(4, 2), torch.tensor([0, 1, 1, 0]))], 400
    exact = hessian(model, "0.weight", data, F.cross_entropy)
    estimate = hutchinson_diagonal(model, ["0.weight"], data, F.cross_entropy, probes=probes, seed=0)["0.weight"]
    # z_i·(Hz)_i = h_ii + Σ_j≠i h_ij·z_i·z_j, whose variance is Σ_j≠i h_ij².
    noise = ((exact**2).sum(1) - exact.diagonal() ** 2).div(probes).sqrt()
    assert ((estimate.flatten() - exact.diagonal()).abs() <= 4 * noise + 1e-6).all()
    assert exact.diagonal().abs().max() > 10 * noise.max()


def test_probes_follow_their_seed(convnet, images):
    first, again, other = (
        OptimalBrainDamage("hutchinson", probes=1, seed=seed).scores(convnet, ["head.weight"], images)["head.weight"]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_hutchinson_of_a_loss_linear_in_the_weights_is_zero():
    model, data = nn.Linear(2, 1), [(torch.ones(3, 2), torch.ones(3))]
    criterion = OptimalBrainDamage("hutchinson", loss=lambda outputs, labels: outputs.mean())
    assert not criterion.scores(model, ["weight"], data)["weight"].any()


class Flattening(nn.Module):
    """A linear layer that sees tokens of all samples in one row after another."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)


def test_gauss_newton_refuses_what_it_cannot_tell_apart(tokennet, sentences):
    labels = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="layer sees 10 rows for 2 samples"):
        OptimalBrainDamage().scores(Flattening(), ["layer.weight"], [(torch.randn(2, 5, 4), labels)])
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    with pytest.raises(ValueError, match=r"0\.weight is shared"):
        OptimalBrainDamage().scores(tied, ["0.weight"], [(torch.randn(2, 3), labels)])
    with pytest.raises(ValueError, match="linear in the model's outputs"):
        loss = OptimalBrainDamage(loss=lambda outputs, labels: outputs.mean())
        loss.scores(tokennet, ["head.weight"], sentences)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"estimate": "fisher"}, "one of gauss_newton, hutchinson, not 'fisher'"), ({"probes": 0}, "1 probe or more")],
)
def test_refuses_numbers_and_names_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        OptimalBrainDamage(**wrong)
