import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.criteria import reconstruct
from pruning.mask import Mask


def without_channels(weight, gone):
    keep = torch.ones(weight.shape, dtype=torch.bool)
    keep[:, gone] = False
    return keep


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.Flatten(), nn.Linear(16, 2))


def batches(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(4, 3, 4, 4, generator=generator), torch.zeros(4)) for _ in range(3)]


@torch.no_grad()
def error(layer, dense_layer, inputs, dense_inputs):
    return float((layer(inputs) - dense_layer(dense_inputs)).double().pow(2).sum())


def test_a_channel_that_repeats_another_goes_without_a_trace():
    model = nn.Sequential(nn.Conv2d(3, 2, 2))
    inputs = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    inputs[:, 2] = -inputs[:, 0]
    dense = copy.deepcopy(model)
    mask = Mask({"0.weight": without_channels(model[0].weight, [2])})
    assert reconstruct(model, dense, mask, [(inputs, torch.zeros(6))]) is model
    assert not model[0].weight[:, 2].any()
    assert torch.allclose(model[0].weight[:, 0], dense[0].weight[:, 0] - dense[0].weight[:, 2], atol=1e-4)
    assert torch.allclose(model(inputs), dense(inputs), atol=1e-4)


def test_is_the_least_squares_solution():
    torch.manual_seed(0)
    inputs, model = torch.randn(30, 5), nn.Sequential(nn.Linear(5, 3))
    dense = copy.deepcopy(model)
    mask = Mask({"0.weight": without_channels(model[0].weight, [1, 4])})
    reconstruct(model, dense, mask, [(inputs[:20], torch.zeros(20)), (inputs[20:], torch.zeros(10))])
    exact = torch.linalg.lstsq(inputs[:, [0, 2, 3]], inputs @ dense[0].weight.T).solution.T
    assert torch.allclose(model[0].weight[:, [0, 2, 3]], exact, atol=1e-5)
    assert torch.equal(model[0].bias, dense[0].bias)


def test_a_relu_in_place_makes_no_difference():
    """It overwrites what the layer gave; the target is what it gave before."""
    torch.manual_seed(0)
    inputs = torch.randn(40, 6)
    plain = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3), nn.ReLU())
    in_place = copy.deepcopy(plain)
    in_place[1], in_place[3] = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
    mask = Mask({f"{layer}.weight": without_channels(plain[layer].weight, [2]) for layer in (0, 2)})
    for model in (plain, in_place):
        reconstruct(model, copy.deepcopy(model), mask, [(inputs, torch.zeros(40))])
    for layer in (0, 2):
        assert torch.equal(plain[layer].weight, in_place[layer].weight)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_never_increases_the_error_of_a_layer_and_keeps_the_mask(seed, density):
    torch.manual_seed(0)
    model, data = nn.Sequential(nn.Conv2d(3, 4, 2)), batches()
    dense, inputs = copy.deepcopy(model), torch.cat([x for x, _ in data])
    keep = torch.rand(model[0].weight.shape, generator=torch.Generator().manual_seed(seed)) < density
    masked = Mask({"0.weight": keep}).apply_(copy.deepcopy(model))
    reconstruct(model, dense, Mask({"0.weight": keep}), data)
    assert not model[0].weight[~keep].any()
    before, after = error(masked[0], dense[0], inputs, inputs), error(model[0], dense[0], inputs, inputs)
    assert after <= before * (1 + 1e-6) + 1e-6


@torch.no_grad()
def test_later_layers_make_up_for_earlier_ones():
    model, data = small(), batches()
    dense, x = copy.deepcopy(model), torch.cat([x for x, _ in batches()])
    mask = Mask(
        {name: without_channels(model.get_parameter(name), [1]) for name in ("4.weight", "0.weight", "2.weight")}
    )
    masked = mask.apply_(copy.deepcopy(model))
    reconstruct(model, dense, mask, data)
    for end in (1, 3, 5):  # behind each layer: no worse than masking alone, and better at the end
        assert error(model[:end], dense[:end], x, x) <= error(masked[:end], dense[:end], x, x) * (1 + 1e-5)
    assert error(model, dense, x, x) < 0.5 * error(masked, dense, x, x)


def test_a_full_mask_changes_nothing_that_matters():
    model, data = small(), batches()
    dense = copy.deepcopy(model)
    reconstruct(model, dense, Mask.dense(model), data)
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter, dense.get_parameter(name), atol=1e-5)


def test_weights_that_the_data_do_not_determine_stay():
    model = nn.Sequential(nn.Linear(3, 2, bias=False))
    dense = copy.deepcopy(model)
    inputs = torch.tensor([[1.0, 0, 1], [2, 0, 1]])  # input 1 is never seen
    reconstruct(model, dense, Mask({"0.weight": without_channels(model[0].weight, [2])}), [(inputs, torch.zeros(2))])
    assert torch.allclose(model[0].weight[:, 1], dense[0].weight[:, 1], atol=1e-6)


def test_grouped_convolutions_and_what_is_no_layer_are_masked_only():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 4, 1, groups=2), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)).train()
    model[2].weight.requires_grad_(False)
    dense = copy.deepcopy(model)
    mask = Mask(
        {"0.weight": without_channels(model[0].weight, [1]), "1.weight": torch.tensor([True, True, False, True])}
    )
    reconstruct(model, dense, mask, [(torch.randn(3, 4, 2, 2), torch.zeros(3))])
    masked = mask.apply_(copy.deepcopy(dense))
    assert all(torch.equal(tensor, masked.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert all(module.training and not module._forward_hooks for module in [*model.modules(), *dense.modules()])
    assert not model[2].weight.requires_grad


def test_linear_layers_of_many_tokens_a_sample(tokennet, sentences):
    dense = copy.deepcopy(tokennet)
    mask = Mask({"down.weight": without_channels(tokennet.down.weight, [0, 3])})
    masked = mask.apply_(copy.deepcopy(tokennet))
    reconstruct(tokennet, dense, mask, sentences)
    seen = torch.relu(dense.up(torch.randn(50, 6, generator=torch.Generator().manual_seed(0))))
    assert not tokennet.down.weight[:, [0, 3]].any()
    assert error(tokennet.down, dense.down, seen, seen) != error(masked.down, dense.down, seen, seen)


def test_refuses_before_anything_is_changed():
    model, data = small(), batches()
    before = copy.deepcopy(model)
    mask = Mask({"0.weight": without_channels(model[0].weight, [0])})
    other = nn.Sequential(nn.Conv2d(3, 4, 3))
    for arguments, message in [
        ((model, mask, data), "another object"),
        ((other, mask, data), "mask of 0.weight has shape"),
        ((copy.deepcopy(model), mask, []), "not one batch"),
        ((copy.deepcopy(model), mask, None), "reconstruct looks at data"),
    ]:
        dense, given_mask, given_data = arguments
        with pytest.raises(ValueError, match=message):
            reconstruct(model, dense, given_mask, given_data)
    with pytest.raises(ValueError, match="1 output position"):
        reconstruct(model, copy.deepcopy(model), mask, data, positions=0)
    assert all(torch.equal(tensor, before.state_dict()[name]) for name, tensor in model.state_dict().items())
