"""Integers: half a step of error at most, exact zeros, gradients straight through, ranges that were seen."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.mask import Mask
from pruning.quantise import MinMax, Percentile, freeze, prepare, quantise_aware, to_int8
from pruning.quantise.grid import (
    GREATEST,
    LEAST,
    affine_grid,
    along_outputs,
    fake_quantise,
    largest_code,
    symmetric_scale,
    to_codes,
)
from pruning.quantise.placing import input_quantiser
from pruning.quantise.ranges import Watch, calibrate

LAYERS = ["1", "4"]


def network() -> nn.Sequential:
    """Takes token ids `[n, 5]`: what is quantised need not be images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 6), nn.Flatten(), nn.ReLU(), nn.Linear(30, 3))


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    return [(torch.randint(20, (16, 5), generator=generator), torch.zeros(16)) for _ in range(2)]


def train(model, *, epochs, learning_rate=None, mask=None):
    """A plain loop on fixed samples that holds masked weights at zero after each step."""
    generator = torch.Generator().manual_seed(2)
    inputs, labels = torch.randint(20, (32, 5), generator=generator), torch.arange(32) % 3
    optimiser = torch.optim.SGD(model.train().parameters(), lr=learning_rate or 0.1, momentum=0.9)
    held = [(dict(model.named_parameters())[name], keep) for name, keep in (mask or {}).items()]
    for _ in range(epochs):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimiser.step()
        with torch.no_grad():
            for parameter, keep in held:
                parameter.mul_(keep)
    return model


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(2, 8),
    st.booleans(),
)
def test_a_weight_is_off_by_half_a_step_at_most(rows, bits, per_channel):
    weight = torch.tensor(rows, dtype=torch.float32)
    layer = nn.Linear(3, len(rows))
    layer.weight = nn.Parameter(weight.clone())
    small = to_int8(layer, bits, per_channel=per_channel)
    scale = small.parametrizations["weight"].original
    assert scale.shape == ((len(rows),) if per_channel else ())
    assert bool((scale > 0).all())
    assert bool(((small.weight - weight).abs() <= along_outputs(scale, 2) * 0.5001).all())
    codes = small.parametrizations["weight"][0].codes
    assert codes.dtype == torch.int8 and int(codes.abs().max()) <= largest_code(bits)
    assert bool((small.weight[weight == 0] == 0).all())
    assert torch.equal(small.bias, layer.bias)


def test_an_8_bit_grid_by_hand():
    """The row's largest weight is 1.27, so a step is 0.01; 0.5 of the other row becomes its 127."""
    layer = nn.Linear(3, 2)
    layer.weight = nn.Parameter(torch.tensor([[1.27, -0.634, 0.0], [0.5, 0.25, -0.002]]))
    codes = to_int8(layer).parametrizations["weight"][0].codes
    assert codes.tolist() == [[127, -63, 0], [127, 64, -1]]  # 0.25 is 63.5 steps: ties go to even
    coarse = to_int8(layer, per_channel=False).parametrizations["weight"][0].codes
    assert coarse.tolist() == [[127, -63, 0], [50, 25, 0]]


@settings(max_examples=60, deadline=None)
@given(st.floats(-100, 100, width=32), st.floats(-100, 100, width=32), st.floats(0, 1))
def test_an_activation_in_range_is_off_by_half_a_step_and_zero_is_exact(one, other, share):
    low, high = min(one, other), max(one, other)
    scale, zero_point = affine_grid(torch.tensor(low), torch.tensor(high))
    assert float(scale) > 0 and float(zero_point) in range(LEAST, GREATEST + 1)
    x = torch.tensor([low + share * (high - low), low, high, 0.0])
    rounded = fake_quantise(x, scale, zero_point, LEAST, GREATEST)
    # The zero point is itself rounded, so that at an end of the range up to half a step more is cut.
    assert bool(((rounded - x).abs() <= scale * 1.0001 + 1e-6).all()) and float(rounded[3]) == 0
    assert float(fake_quantise(torch.tensor(-1e6), scale, zero_point, LEAST, GREATEST)) <= min(low, 0) + float(scale)


def test_the_gradient_goes_straight_through_inside_the_range():
    x = torch.tensor([-3.0, -1.2, 0.3, 1.2, 7.0], requires_grad=True)
    y = fake_quantise(x, torch.tensor(0.5), 0, -3, 3)
    assert y.tolist() == [-1.5, -1.0, 0.5, 1.0, 1.5]
    y.backward(torch.arange(1.0, 6))
    assert x.grad.tolist() == [0, 2, 3, 4, 0]
    assert torch.equal(to_codes(x, torch.tensor(0.5), 0, -3, 3), torch.tensor([-3.0, -2, 1, 2, 3]))


def test_a_quantised_model_is_close_and_the_old_one_untouched(data):
    model = network().train()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    inputs = data[0][0]
    expected = model(inputs).detach()
    weights_only, whole = to_int8(model), to_int8(model, data=data)
    assert 0 < float((weights_only(inputs) - expected).detach().abs().max()) < 0.05
    assert 0 < float((whole(inputs) - expected).detach().abs().max()) < 0.05
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert model.training and whole.training
    assert torch.equal(copy.deepcopy(whole)(inputs), whole(inputs))


def test_ranges_are_those_of_what_passed(data):
    model = network()
    seen = torch.cat([model[0](inputs).detach().flatten() for inputs, _ in data])
    watched = nn.Sequential(model[0], Watch("outputs of 0"), nn.Flatten())
    low, high = float(seen.min()), float(seen.max())
    assert calibrate(watched, data, MinMax()) == {"1": (low, high)}
    watched[1].batches.clear()
    assert low <= calibrate(watched, data, Percentile(100))["1"][0] < calibrate(watched, data, MinMax())["1"][1] <= high
    values = torch.arange(101.0)
    assert Percentile(90).of_batch(values) == (10, 90)
    assert Percentile(99.9).of_batch(torch.tensor([3.0])) == (3, 3)
    assert Percentile().together([(-1, 2), (-3, 4)]) == (-2, 3)


def test_data_that_cannot_calibrate_is_refused(data):
    model = network()
    with pytest.raises(ValueError, match="at least one batch"):
        to_int8(model, data=[])
    with pytest.raises(ValueError, match=r"inputs of layer 0 range from .*finite"):
        to_int8(nn.Sequential(nn.Linear(2, 2)), data=[(torch.tensor([[1.0, torch.inf]]), None)])
    with pytest.raises(ValueError, match="percentile above 50"):
        Percentile(50)
    with pytest.raises(ValueError, match=r"1\.weight of shape \[6, 8\]: a weight takes 2 to 8 bits.* not 1"):
        to_int8(model, 1)


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        (torch.zeros(4, 6, 8), "batch 0 is of type Tensor"),
        ([(torch.zeros(2, 8),)], "of type tuple with 1 elements"),
        ([{"x": torch.zeros(2, 8)}], "of type dict"),
        ([(np.zeros((2, 8)), None)], "inputs are of type ndarray"),
        ([(torch.zeros(0, 8), None)], "batch 0 is empty"),
        ([(torch.zeros(2, 8), None), (torch.zeros(0, 8), None)], "batch 1 is empty"),
        ([(torch.zeros(2, 7), None)], r"does not take calibration inputs of shape \[2, 7\] and type float32"),
    ],
)
def test_data_of_another_kind_is_named(batches, said):
    with pytest.raises(ValueError, match=said):
        to_int8(nn.Sequential(nn.Linear(8, 2)), data=batches)


def test_a_weight_that_cannot_be_replaced_is_named():
    lazy = nn.Sequential(nn.LazyLinear(2))
    with pytest.raises(ValueError, match="run the model on a sample first"):
        to_int8(lazy)
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(8, 2)))
    with pytest.raises(ValueError, match=r"0\.weight of shape .*make a plain one first"):
        to_int8(normed)


def test_what_was_trained_with_rounding_computes_the_same_when_frozen(data):
    prepared = train(prepare(network(), 4, data=data), epochs=3)
    frozen = freeze(prepared)
    inputs = data[1][0]
    expected = prepared.eval()(inputs)
    # A bias that became an integer may move a value over the border between two codes.
    assert bool((expected - frozen.eval()(inputs)).abs().max() < 0.01 * expected.abs().max())
    layers = [frozen.get_submodule(name) for name in LAYERS]
    assert {layer.parametrizations["weight"][0].codes.dtype for layer in layers} == {torch.int8}
    assert not any(parameter.requires_grad for layer in layers for parameter in layer.parameters())
    assert prepared.get_submodule("1").parametrizations["weight"].original.ndim == 2


def test_without_training_it_is_post_training_quantisation(data):
    model, inputs = network(), data[0][0]
    untrained = quantise_aware(model, 5, train=train, epochs=0, data=data)
    assert torch.equal(untrained(inputs), to_int8(model, 5, data=data)(inputs))


def test_training_at_2_bits_wins_back_what_rounding_lost():
    generator = torch.Generator().manual_seed(2)
    inputs, labels = torch.randint(20, (32, 5), generator=generator), torch.arange(32) % 3
    model = train(network(), epochs=60)

    def loss(model):
        return nn.functional.cross_entropy(model.eval()(inputs), labels).item()

    rounded, trained = to_int8(model, 2), quantise_aware(model, 2, train=train, epochs=60)
    assert loss(model) < loss(trained) < 0.85 * loss(rounded)


def test_pruned_weights_stay_zero_through_training_and_ranges_follow(data):
    model = network()
    keep = torch.arange(48).reshape(6, 8) % 3 == 0
    trained = quantise_aware(
        model, train=train, epochs=3, data=data, mask=Mask({"1.weight": keep, "0.weight": torch.ones(20, 8) > 0})
    )
    assert torch.equal(trained.get_submodule("1").weight == 0, ~keep)
    prepared = prepare(model, data=data)
    seen = input_quantiser(prepared, "1")
    low = seen.low.clone()
    with torch.no_grad():
        prepared.get_submodule("0").weight.mul_(2)
    prepared.eval()(data[0][0])
    assert torch.equal(seen.low, low)
    prepared.train()(data[0][0])
    assert float(seen.low) < float(low)


def diverged(model):
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    return model


def test_bad_use_of_training_is_refused(data):
    with pytest.raises(ValueError, match="0 epochs or more"):
        quantise_aware(network(), train=train, epochs=-1)
    with pytest.raises(ValueError, match=r"NaN or infinity.*diverged"):
        quantise_aware(network(), train=lambda model, **_: diverged(model), epochs=1, data=data)
    with pytest.raises(ValueError, match="call prepare"):
        freeze(network())
    with pytest.raises(ValueError, match=r"no parameter '9\.weight'"):
        quantise_aware(network(), train=train, epochs=1, mask=Mask({"9.weight": torch.ones(1) > 0}))


def test_a_scale_is_per_output_or_one():
    weight = torch.tensor([[[1.27]], [[0.0]]])
    assert torch.allclose(symmetric_scale(weight, 8, per_channel=True), torch.tensor([0.01, 1.0]))
    assert torch.allclose(symmetric_scale(weight, 8, per_channel=False), torch.tensor(0.01))
