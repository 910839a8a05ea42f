"""Dead units go, to the last of their weights, and the function stays."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.mask import Mask
from pruning.schedules.dead_neurons import remove_dead_neurons


def chain(bias=False):
    """Layers of two units each, so that everything can be followed by hand."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(2, 2, bias=bias), nn.ReLU(), nn.Linear(2, 2, bias=bias), nn.ReLU(), nn.Linear(2, 2, bias=bias)
    )


def masked(model, *removed):
    keep = dict(Mask.dense(model))
    for name, index in removed:
        keep[name][index] = False
    return Mask({name: each for name, each in keep.items() if not each.all()})


def kept(mask, name):
    return mask[name].int().tolist()


def test_a_unit_without_inputs_takes_its_outputs_along_and_so_on():
    model = chain()
    # Unit 0 of the first layer has no inputs; unit 1 of the second reads it alone.
    mask = masked(model, ("0.weight", 0), ("2.weight", (1, 1)))
    clean = remove_dead_neurons(model, mask, torch.ones(1, 2))
    assert kept(clean, "0.weight") == [[0, 0], [1, 1]]
    assert kept(clean, "2.weight") == [[0, 1], [0, 0]]
    assert kept(clean, "4.weight") == [[1, 0], [1, 0]]


def test_a_unit_without_outputs_takes_its_inputs_along_and_so_on():
    model = chain()
    # Nobody reads unit 1 of the second layer, which alone reads unit 0 of the first.
    mask = masked(model, ("4.weight", (slice(None), 1)), ("2.weight", (0, 0)))
    clean = remove_dead_neurons(model, mask, torch.ones(1, 2))
    assert kept(clean, "2.weight") == [[0, 1], [0, 0]]
    assert kept(clean, "0.weight") == [[0, 0], [1, 1]]


def test_a_bias_keeps_a_unit_without_inputs_alive_unless_it_is_zero_or_removed():
    model = chain(bias=True)
    with torch.no_grad():
        model[0].bias[1] = 0
    inputs = torch.ones(1, 2)
    alive = masked(model, ("0.weight", 0))
    assert remove_dead_neurons(model, alive, inputs) == alive
    removed = remove_dead_neurons(model, masked(model, ("0.weight", 0), ("0.bias", 0)), inputs)
    assert kept(removed, "2.weight") == [[0, 1], [0, 1]]
    zero = remove_dead_neurons(model, masked(model, ("0.weight", 1)), inputs)
    assert kept(zero, "2.weight") == [[1, 0], [1, 0]]
    assert kept(zero, "0.bias") == [1, 0]  # held at zero from here on


def test_a_channel_that_nobody_reads_takes_its_batch_norm_along():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    mask = masked(model, ("4.weight", (slice(None), slice(4, 8))))  # four pixels of channel 1
    clean = remove_dead_neurons(model, mask, torch.randn(2, 1, 4, 4))
    assert kept(clean, "0.bias") == kept(clean, "1.weight") == kept(clean, "1.bias") == [1, 0]
    assert not clean["0.weight"][1].any() and clean["0.weight"][0].all()


def test_a_residual_sum_is_left_alone():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.last = (nn.Linear(4, 4, bias=False) for _ in range(3))

        def forward(self, x):
            x = self.one(x)
            return self.last(x + self.two(x))

    model = Residual()
    mask = masked(model, ("one.weight", 0))
    assert remove_dead_neurons(model, mask, torch.ones(1, 4)) == mask


def test_shared_weights_are_left_alone():
    model = chain()
    model[2].weight = model[0].weight
    mask = masked(model, ("0.weight", 0))
    assert remove_dead_neurons(model, mask, torch.ones(1, 2)) == mask


class Mixed(nn.Module):
    """Convolutions with a depthwise one between them, batch norm, flattening, and linear layers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.2, 0.4]))
def test_the_function_stays_and_nothing_dead_is_left(seed, density):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = Mixed().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:  # half of the biases, scales and shifts are zero
                parameter.mul_(torch.rand(parameter.shape, generator=generator) < 0.5)
            if name == "layers.1.bias":
                parameter.add_(0.1 * (torch.rand(parameter.shape, generator=generator) < 0.5))
    densities = {n: density if p.ndim > 1 else 0.9 for n, p in model.named_parameters()}
    mask = Mask({n: torch.rand(p.shape, generator=generator) < densities[n] for n, p in model.named_parameters()})
    inputs = torch.randn(3, 2, 6, 6, generator=generator)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    clean = remove_dead_neurons(model, mask, inputs)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert clean & mask == clean
    assert remove_dead_neurons(model, clean, inputs) == clean
    with torch.no_grad():
        expected = mask.apply_(model)(inputs).clone()
        torch.testing.assert_close(clean.apply_(model)(inputs), expected, rtol=0, atol=1e-6)


def test_a_mask_of_another_model_is_refused():
    with pytest.raises(ValueError, match=r"no parameter '1\.weight'"):
        remove_dead_neurons(chain(), Mask({"1.weight": torch.ones(2, dtype=torch.bool)}), torch.ones(1, 2))
