"""Shared weights: k-means by hand and by its promises, gradients summed by cluster, zeros that stay."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.mask import Mask
from pruning.masking import make_mask
from pruning.quantise import share_weights
from pruning.quantise.codebook import encode, kmeans
from pruning.ratios import Uniform

# Deep Compression, figure 3: weights, the gradient of each, and what clustering to 2 bits makes of them.
WEIGHTS = torch.tensor(
    [[2.09, -0.98, 1.48, 0.09], [0.05, -0.14, -1.08, 2.12], [-0.91, 1.92, 0, -1.03], [1.87, 0, 1.53, 1.49]]
)
GRADIENT = torch.tensor(
    [[-0.03, -0.01, 0.03, 0.02], [-0.01, 0.01, -0.02, 0.12], [-0.01, 0.02, 0.04, 0.01], [-0.07, -0.02, 0.01, -0.02]]
)
CODES = torch.tensor([[3, 0, 2, 1], [1, 1, 0, 3], [0, 3, 1, 0], [3, 1, 2, 2]])


def linear(weight: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight = nn.Parameter(weight.clone())
    return layer


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(24, 16), nn.Linear(16, 3)
        )


def codebook_of(layer: nn.Module) -> nn.Parameter:
    return layer.parametrizations["weight"].original


def test_figure_3_of_the_paper():
    """The gradients' sums are 0.04, 0.02, 0.04 and −0.03; a step of rate 1 gives 1.96, 1.48, −0.04, −0.97."""
    layer = linear(WEIGHTS)
    shared = share_weights(layer, 2, Mask.dense(layer))
    codebook = codebook_of(shared)
    assert torch.allclose(codebook, torch.tensor([-1.0, 0.0, 1.5, 2.0]), atol=1e-6)
    assert torch.equal(shared.weight, codebook[CODES])
    (shared.weight * GRADIENT).sum().backward()
    assert torch.allclose(codebook.grad, torch.tensor([-0.03, 0.04, 0.02, 0.04]), atol=1e-6)
    torch.optim.SGD([codebook], lr=1).step()
    assert torch.allclose(codebook, torch.tensor([-0.97, -0.04, 1.48, 1.96]), atol=1e-6)


def test_figure_3_with_its_two_zeros_pruned():
    """Two bits are then three values and zero, and zero takes no part in the sums."""
    shared = share_weights(linear(WEIGHTS), 2)
    codebook = codebook_of(shared)
    assert torch.equal(shared.weight == 0, WEIGHTS == 0)
    assert len(codebook) == 3 and len(shared.weight.unique()) == 4
    (shared.weight * GRADIENT).sum().backward()
    expected = [GRADIENT[(shared.weight == value)].sum() for value in codebook]
    assert torch.allclose(codebook.grad, torch.stack(expected), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-40, 40), min_size=1, max_size=60), st.integers(1, 8), st.floats(1e-3, 1e3), st.booleans())
def test_codes_are_few_and_nearest_and_zeros_stay(numbers, bits, unit, pruned):
    weight = torch.tensor(numbers) * unit
    kept = weight != 0 if pruned else torch.ones_like(weight, dtype=torch.bool)
    codes, codebook = encode(weight, kept, bits)
    zero = not bool(kept.all())
    table = torch.cat([torch.zeros(1), codebook]) if zero else codebook
    decoded = table[codes.long()]
    assert decoded.unique().numel() <= 2**bits and len(codebook) <= max(2**bits - zero, 1)
    assert bool((decoded[~kept] == 0).all())
    if bool(kept.any()):
        values = weight[kept]
        nearest = (values[:, None] - codebook).abs().amin(1)
        assert torch.allclose((values - decoded[kept]).abs(), nearest, rtol=1e-5, atol=1e-6 * unit)
        assert len(codebook) == min(2**bits - zero, values.unique().numel())
        if values.unique().numel() <= 2**bits - zero:
            assert torch.equal(decoded, torch.where(kept, weight, 0))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-100, 100), min_size=3, max_size=9), st.integers(1, 4))
def test_lloyd_ends_where_each_centroid_is_its_clusters_mean_and_no_worse_than_it_began(numbers, clusters):
    values = torch.tensor(numbers, dtype=torch.float64)
    codes, centroids = kmeans(values, clusters)
    for index, centroid in enumerate(centroids):
        assert torch.allclose(values[codes == index].mean(), centroid)
    start = torch.linspace(float(values.min()), float(values.max()), clusters, dtype=torch.float64)
    error_before = (values[:, None] - start).square().amin(1).sum()
    assert float((values - centroids[codes]).square().sum()) <= float(error_before) + 1e-9
    assert torch.equal(kmeans(values * 4, clusters)[0], codes)


def test_on_an_easy_line_the_best_clustering_is_found():
    values = torch.tensor([0.0, 0.1, 5.0, 5.2, 9.0, 9.1, 9.2])
    codes, centroids = kmeans(values, 3)
    assert codes.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert torch.allclose(centroids, torch.tensor([0.05, 5.1, 9.1]))


def test_centroids_that_fall_into_the_gap_of_a_pruned_layer_are_not_lost():
    values = torch.cat([torch.linspace(-1.1, -1, 50), torch.linspace(1, 1.1, 50)])
    codes, centroids = kmeans(values, 15)
    assert codes.unique().numel() == len(centroids) == 15
    assert float((values - centroids[codes]).abs().max()) < 0.02


def test_bits_by_layer_and_kind_and_what_is_left_alone():
    model = network().train()
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    shared = share_weights(model, {"conv": 2, "linear": 3, "5": 1})
    assert [shared[i].weight.unique().numel() for i in (0, 4, 5)] == [4, 8, 2]
    assert all(torch.equal(shared[i].bias, model[i].bias) for i in (0, 4, 5))
    assert torch.equal(state, torch.get_rng_state()) and shared.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert type(share_weights(model, {"0": 4})[5].weight) is nn.Parameter
    named = nn.Sequential()
    named.add_module("conv", nn.Conv2d(1, 1, 3))
    named.add_module("other", nn.Conv2d(1, 1, 3))
    assert type(share_weights(named, {"conv": 2}).other.weight) is nn.Parameter  # a name goes before a kind


def test_trained_on_zeros_hold_and_the_values_stay_few():
    model = network()
    mask = make_mask(model, criterion="magnitude", granularity="element", ratio=Uniform(0.6))
    shared = share_weights(model, 3, mask)
    codes = {name: buffer.clone() for name, buffer in shared.named_buffers() if name.endswith("codes")}
    inputs = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    before = [shared[i].weight.detach().clone() for i in (0, 4, 5)]
    optimiser = torch.optim.AdamW(shared.parameters(), lr=0.05, weight_decay=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        shared(inputs).square().sum().backward()
        optimiser.step()
    for i, old in zip((0, 4, 5), before, strict=True):
        weight = shared[i].weight
        assert not torch.equal(weight, old)
        assert weight.unique().numel() <= 8 and torch.equal(weight != 0, mask[f"{i}.weight"])
    assert all(torch.equal(dict(shared.named_buffers())[name], tensor) for name, tensor in codes.items())


def test_all_zeros_few_values_and_frozen_layers():
    model = nn.Sequential(linear(torch.zeros(3, 4)), linear(torch.tensor([[0.5, 0.0, -0.25]] * 2)))
    model[1].weight.requires_grad_(False)
    model[1].weight.grad = torch.ones(2, 3)
    shared = share_weights(model, 4)
    assert all(torch.equal(shared[i].weight, model[i].weight) for i in (0, 1))
    assert (codebook_of(shared[0]).requires_grad, codebook_of(shared[1]).requires_grad) == (True, False)
    copied = copy.deepcopy(shared)
    copied.load_state_dict(shared.state_dict())
    assert torch.equal(copied[1].weight, model[1].weight)


@pytest.mark.parametrize("bits", [0, 9, -1, 2.5, True])
def test_bits_out_of_range_are_refused_by_name(bits):
    with pytest.raises(ValueError, match=r"4\.weight of shape \[16, 24\]: a weight takes 1 to 8 bits"):
        share_weights(network(), {"4": bits})


def test_weights_that_cannot_be_replaced_are_refused():
    model = network()
    with pytest.raises(ValueError, match=r"'lineal', which is neither a layer nor a kind.*linear"):
        share_weights(model, {"lineal": 4})
    with pytest.raises(ValueError, match="No convolution or linear layer"):
        share_weights(nn.Sequential(nn.ReLU()), 4)
    with pytest.raises(ValueError, match=r"0\.weight .* computed from something else"):
        share_weights(share_weights(model, 4), 4)
    with pytest.raises(ValueError, match="The model has no parameter"):
        share_weights(model, 4, Mask({"nowhere": torch.ones(2, dtype=torch.bool)}))
    tied = nn.Sequential(linear(torch.ones(3, 3)), linear(torch.ones(3, 3)))
    tied[1].weight = tied[0].weight
    with pytest.raises(ValueError, match=r"one tensor under several names \(0\.weight, 1\.weight\)"):
        share_weights(tied, 4)
    with torch.no_grad():
        model[5].weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"5\.weight of shape \[3, 16\] holds NaN"):
        share_weights(model, 4)
    with pytest.raises(ValueError, match="1 cluster or more"):
        kmeans(torch.ones(3), 0)
