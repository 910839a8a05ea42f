import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.shrinking.folding import fold, fold_batch_norm, linearise, linearity_penalty, merge, with_prelu


def trained_norm(kind, width):
    norm = kind(width)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        tensor.uniform_(0.5, 2)
    return norm


def test_slope_zero_is_relu_and_slope_one_the_identity():
    """The lecture: α = 0 → ReLU, α = 1 → identity."""
    x = torch.linspace(-2, 2, 9)
    assert torch.equal(with_prelu(nn.Sequential(nn.ReLU()))(x), x.relu())
    assert torch.equal(with_prelu(nn.Sequential(nn.ReLU()), slope=1)(x), x)


def test_two_linear_layers_by_hand():
    one, two = nn.Linear(2, 2), nn.Linear(2, 1)
    for layer, weight, bias in ((one, [[1.0, 2], [0, 3]], [1.0, -1]), (two, [[2.0, 1]], [5.0])):
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    merged = merge(one, two)
    assert merged.weight.tolist() == [[2, 7]] and merged.bias.tolist() == [6]  # 2·1 + 1·(-1) + 5
    assert (merged.in_features, merged.out_features) == (2, 1)


def test_two_kernels_by_hand():
    """[1, 2] then [3, 4] in one dimension: the full convolution [3, 10, 8]."""
    one, two = nn.Conv1d(1, 1, 2, bias=False), nn.Conv1d(1, 1, 2, bias=False)
    one.weight.data, two.weight.data = torch.tensor([[[1.0, 2]]]), torch.tensor([[[3.0, 4]]])
    assert merge(one, two).weight.flatten().tolist() == [3, 10, 8]


@settings(max_examples=25, deadline=None)
@given(
    kernels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.integers(0, 2),
    stride=st.integers(1, 2),
    biases=st.tuples(st.booleans(), st.booleans()),
    norm=st.booleans(),
    seed=st.integers(0, 99),
)
def test_merged_convolutions_compute_the_same(kernels, padding, stride, biases, norm, seed):
    torch.manual_seed(seed)
    layers = [
        nn.Conv2d(2, 3, kernels[0], padding=padding, bias=biases[0]),
        *([trained_norm(nn.BatchNorm2d, 3)] if norm else []),
        nn.Identity(),
        nn.Conv2d(3, 2, kernels[1], stride=stride, bias=biases[1]),
    ]
    model = nn.Sequential(*layers).double().eval()
    x = torch.randn(2, 2, 7, 6, dtype=torch.float64)
    small = fold(model)
    assert len(small) == 1
    assert torch.allclose(small(x), model(x), atol=1e-10)


def test_a_pointwise_layer_without_bias_merges_with_a_padded_one():
    model = nn.Sequential(nn.Conv2d(2, 3, 1, bias=False), nn.Conv2d(3, 4, 3, padding=1, stride=2)).double()
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    assert len(fold(model)) == 1 and torch.allclose(fold(model)(x), model(x), atol=1e-10)


@pytest.mark.parametrize(
    ("one", "two", "reason"),
    [
        (nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3, padding=1), "second is padded"),
        (nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 3, padding=1), "second is padded"),
        (nn.Conv2d(2, 2, 3, stride=2), nn.Conv2d(2, 2, 3), "has a stride"),
        (nn.Conv2d(2, 2, 3, groups=2), nn.Conv2d(2, 2, 3), "grouped or dilated"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), nn.Conv2d(2, 2, 3), "must be zeros"),
        (nn.Conv2d(2, 2, 3), nn.Linear(2, 2), "two linear layers, or two convolutions"),
        (nn.Linear(2, 3), nn.Linear(2, 3), "differ in width"),
    ],
)
def test_what_is_not_exact_is_refused_and_left_alone(one, two, reason):
    with pytest.raises(ValueError, match=reason):
        merge(one, two)
    assert len(fold(nn.Sequential(one, two))) == 2


def test_the_whole_way_from_relu_to_fewer_layers():
    """The penalty drives the slopes of a network to 1; then six linear layers with batch norms become one."""
    torch.manual_seed(0)
    blocks = [[nn.Linear(4, 4), trained_norm(nn.BatchNorm1d, 4), nn.ReLU()] for _ in range(5)]
    model = nn.Sequential(*[layer for block in blocks for layer in block], nn.Linear(4, 2)).double().eval()
    soft = with_prelu(model)
    slopes = [layer.weight for layer in soft if isinstance(layer, nn.PReLU)]
    for _ in range(4):
        for slope, gradient in zip(slopes, torch.autograd.grad(linearity_penalty(soft), slopes), strict=True):
            slope.data -= 0.25 * gradient
    assert linearity_penalty(soft) == 0
    small = fold(linearise(soft))
    x = torch.randn(6, 4, dtype=torch.float64)
    assert len(small) == 1 and small[0].weight.shape == (2, 4)
    assert torch.allclose(small(x), soft(x), atol=1e-10)
    assert len(model) == 16  # untouched


def test_slopes_that_are_not_one_stay():
    model = nn.Sequential(nn.Linear(2, 2), nn.PReLU(init=0.9), nn.Linear(2, 2))
    assert len(fold(linearise(model))) == 3
    assert len(fold(linearise(model, tolerance=0.2))) == 1
    assert linearity_penalty(model).item() == pytest.approx(0.1)


def test_a_batch_norm_folds_only_where_layers_merge():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    assert [type(layer) for layer in fold(model)] == [type(layer) for layer in model]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"no nn\.ReLU"):
        with_prelu(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="no PReLU"):
        linearity_penalty(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="0 or more"):
        linearise(nn.Linear(2, 2), -1)
    with pytest.raises(ValueError, match="running statistics"):
        fold_batch_norm(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False))
