"""Integers between the layers: where values are rounded, what is folded, and what is told to stay in floats."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pruning.mask import Mask
from pruning.quantise import carried_over, freeze, layers_in_floats, prepare, quantise_aware, to_int8
from pruning.quantise.grid import scale_for_bias
from pruning.quantise.integers import Quantiser
from pruning.quantise.placing import input_quantiser


class Residual(nn.Module):
    """What the rounding has to cross: a sum, a pooling, a concatenation, a padded shortcut, a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.left = nn.Conv2d(8, 8, 3, padding=1)
        self.right = nn.Conv2d(8, 4, 1)
        self.fc = nn.Linear(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.stem(x)))
        y = F.relu6(self.left(x) + x)
        y = torch.cat([y, self.right(x)], 1)
        y = F.relu(F.max_pool2d(y, 2) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))
        z = F.pad(y, (0, 0, 0, 0, 4, 4))
        return self.fc(z.mean((2, 3)))


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Residual()
        network.norm.running_mean.normal_(0, 0.3)
        network.norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(network.norm.weight, 0.5, 2)
        nn.init.normal_(network.norm.bias, 0, 0.3)
        return network.eval()


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(8, 3, 8, 8, generator=generator), torch.zeros(8)) for _ in range(2)]


def train(model, *, epochs, learning_rate=None, mask=None):
    generator = torch.Generator().manual_seed(2)
    inputs, labels = torch.randn(16, 3, 8, 8, generator=generator), torch.arange(16) % 5
    optimiser = torch.optim.SGD(model.train().parameters(), lr=learning_rate or 0.05, momentum=0.9)
    held = [(dict(model.named_parameters())[name], keep) for name, keep in (mask or {}).items()]
    for _ in range(epochs):
        optimiser.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimiser.step()
        with torch.no_grad():
            for parameter, keep in held:
                parameter.mul_(keep)
    return model


def on_grid(values: torch.Tensor, quantiser: Quantiser) -> bool:
    steps = values / quantiser.scale
    return bool((steps - steps.round()).abs().max() < 1e-2)


def test_every_layer_reads_and_gives_codes(model, data):
    small, inputs = to_int8(model, data=data), data[0][0]
    seen = {}
    for name in ("stem", "left", "right", "fc"):
        layer = small.get_submodule(name)
        layer.register_forward_pre_hook(lambda layer, given, name=name: seen.__setitem__(name, given[0]))
    expected, found = model(inputs), small(inputs)
    assert float((found - expected).abs().max()) < 0.03 * float(expected.abs().max())
    for name, values in seen.items():
        assert on_grid(values, input_quantiser(small, name)) and len(values.unique()) <= 256
    assert not [m for m in small.modules() if isinstance(m, nn.BatchNorm2d)]
    # The images, the stem, `left` behind the sum, `right`, the concatenation, the second sum and the mean.
    assert len([m for m in small.modules() if isinstance(m, Quantiser)]) == 9 - 1
    assert layers_in_floats(small) == {}


def test_a_bias_is_an_integer_on_the_product_of_the_scales(data):
    layer = nn.Linear(2, 2)
    layer.weight, layer.bias = (
        nn.Parameter(torch.tensor([[1.27, 0.5], [0.0, 0.0]])),
        nn.Parameter(torch.tensor([0.3, 2.0])),
    )
    inputs = torch.tensor([[0.0, 2.55], [1.0, 0.5]])  # steps of 0.01
    small = to_int8(nn.Sequential(layer), data=[(inputs, None)]).get_submodule("0")
    bias = small.parametrizations["bias"]
    assert bias[0].codes.dtype == torch.int32
    assert bias[0].codes.tolist() == [3000, 2**24]  # 0.3 / (0.01 · 0.01); a row without weights has a scale of its own
    torch.testing.assert_close(bias.original, torch.tensor([1e-4, 2 / 2**24]))
    torch.testing.assert_close(small.parametrizations["weight"].original[0], torch.tensor(0.01))
    assert small.weight[1].tolist() == [0, 0]


def test_a_weight_that_is_nothing_beside_its_bias_does_not_overflow_it():
    weight, bias = torch.tensor([[1e-12], [1.0]]), torch.tensor([1.0, 1.0])
    scale = scale_for_bias(weight[:, 0] / 127, weight, bias, torch.tensor(0.01))
    assert float(bias[0] / (scale[0] * 0.01)) == pytest.approx(2**30) and float(scale[1]) == pytest.approx(1 / 127)
    together = scale_for_bias(torch.tensor(1e-14), weight[:1], bias[:1], torch.tensor(0.01))
    assert float(1 / (together * 0.01)) == pytest.approx(2**30)


def test_zeros_stay_zero_through_folding_and_training(model, data):
    keep = torch.rand(model.stem.weight.shape, generator=torch.Generator().manual_seed(3)) < 0.5
    mask = Mask({"stem.weight": keep, "left.weight": torch.arange(8 * 8 * 9).reshape(8, 8, 3, 3) % 3 == 0})
    pruned = mask.apply_(copy.deepcopy(model))
    small = to_int8(pruned, data=data)
    trained = quantise_aware(model, train=train, epochs=3, data=data, mask=mask)
    for each in (small, trained):
        assert torch.equal(each.get_submodule("stem").weight != 0, keep & (each.get_submodule("stem").weight != 0))
        assert not bool(each.get_submodule("left").weight[~mask["left.weight"]].any())
    assert not torch.equal(small.get_submodule("stem").weight, trained.get_submodule("stem").weight)


def test_a_mask_of_a_folded_batch_norm_goes_to_its_layer(model, data):
    gone = torch.arange(8) > 1  # the first two channels are masked with all they have
    mask = Mask({"norm.weight": gone, "norm.bias": gone, "right.weight": torch.ones(4, 8, 1, 1) > 0})
    prepared = prepare(model, data=data)
    carried = carried_over(mask, prepared)
    stem = "stem.parametrizations.weight.original"
    assert sorted(carried) == ["right.parametrizations.weight.original", "stem.bias", stem]
    assert carried[stem].shape == (8, 3, 3, 3) and not bool(carried[stem][:2].any()) and bool(carried[stem][2:].all())
    carried.apply_(prepared)
    frozen = freeze(train(prepared, epochs=2, mask=carried))
    silent = frozen.get_submodule("stem")(data[0][0])[:, :2]
    assert not bool(silent.any())
    only_factor = carried_over(Mask({"norm.weight": gone}), prepared)
    assert sorted(only_factor) == [stem]  # the shift stays, as a bias


def test_training_is_of_what_is_frozen(model, data):
    prepared = train(prepare(model, 4, data=data), epochs=3)
    frozen = freeze(prepared)
    inputs = data[1][0]
    scale = float(prepared.eval()(inputs).abs().max())
    assert float((prepared(inputs) - frozen.eval()(inputs)).abs().max()) < 0.01 * scale
    assert torch.equal(
        quantise_aware(model, 5, train=train, epochs=0, data=data)(inputs), to_int8(model, 5, data=data)(inputs)
    )


def test_one_layer_used_twice_reads_one_grid(data):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            return self.conv(F.relu(self.conv(x) * 3.0)).mean((2, 3))

    small = to_int8(Twice(), data=data)
    calls = [node for node in small.graph.nodes if node.op == "call_module" and node.target == "conv"]
    assert len({node.args[0].target for node in calls}) == 1 and len(calls) == 2


def test_what_cannot_be_in_integers_is_named(data):
    class Standardised(nn.Conv2d):
        def forward(self, x):
            return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.own = Standardised(3, 4, 3)
            self.idle = nn.Linear(2, 2)
            self.rnn = nn.LSTM(36, 6, batch_first=True)
            self.free = nn.Parameter(torch.randn(6, 6))
            self.turned, self.scaled = nn.Parameter(torch.randn(6, 6)), nn.Parameter(torch.randn(6, 6))
            self.up = nn.Parameter(torch.randn(6, 6, 1))
            self.added = nn.Parameter(torch.randn(6, 1))
            self.fc = nn.Linear(6, 5)

        def forward(self, x):
            x = self.rnn(self.own(x).flatten(2))[0].mean(1)
            x = F.linear(x @ self.free @ self.turned.T, self.scaled * 2)
            return self.fc(F.relu(F.conv_transpose1d(x[:, :, None], self.up) + self.added).flatten(1))

    with pytest.warns(UserWarning, match="stay in floats") as told:
        small = to_int8(Mixed(), data=data)
    message = str(told[0].message)
    for name in ("own", "rnn", "free", "turned", "scaled", "up"):
        assert f"{name} (" in message and name in layers_in_floats(small)
    assert not {"fc", "added"} & set(layers_in_floats(small))


def test_steps_in_unusual_words_are_followed(data):
    class Wordy(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.same, self.fc = nn.Conv2d(3, 4, 3), nn.Identity(), nn.Linear(4, 5)

        def forward(self, x):
            return self.fc(self.same(input=self.conv(x)).mean((2, x.dim() - 1)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = to_int8(Wordy().eval(), data=data)
    assert not layers_in_floats(small) and small(data[0][0]).shape == (8, 5)


def test_a_module_that_cannot_be_followed_has_its_layers_rounded_one_by_one(data):
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            return self.norm(self.conv(x)) if bool(x.sum() == x.sum()) else x

    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), Branching(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # all layers are integers: there is nothing to warn of
        small = to_int8(network, data=data)
    assert layers_in_floats(small) == {} and isinstance(small.get_submodule("2.norm"), nn.BatchNorm2d)
    inside = small.get_submodule("2.conv")
    assert isinstance(inside.input_quantiser, Quantiser) and isinstance(inside.output_quantiser, Quantiser)
    with pytest.warns(UserWarning, match="rounded by itself"):
        alone = to_int8(Branching(), data=[(torch.randn(2, 4, 8, 8), None)])
    assert layers_in_floats(alone) == {}


def test_a_value_read_twice_is_not_changed_by_steps_in_place(data):
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.act = nn.ReLU(inplace=True)
            self.fc = nn.Linear(4, 5)

        def forward(self, x):
            x = self.conv(x)
            y = x * 1.0
            x = self.act(x)
            x += y
            return self.fc(x.mean((2, 3)))

    model = InPlace().eval()
    expected = model(data[0][0])
    assert float((to_int8(model, data=data)(data[0][0]) - expected).abs().max()) < 0.02 * float(expected.abs().max())
