"""Which operators a channel can cross, and which stop it."""

import pytest
import torch
import torch.nn.functional as F
from masking import filters, masked, outputs, randomised
from torch import nn

from pruning.shrinking import coupled, prunable_filters, shrink


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """Two convolutions and what lies between them."""

    def __init__(self, between, width=4):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(width, 2, 1)
        self.between = between
        self.norm = randomised(nn.BatchNorm2d(4, affine=False))
        self.group = nn.GroupNorm(2, 4)
        self.register_buffer("constant", torch.rand(1, 4, 1, 1))

    def forward(self, x):
        return self.c(self.between(self, x))


OBSTACLES = {
    "sum of two layers": (lambda net, x: net.a(x) + net.b(x), 4, "joined with that of b"),
    "concatenation": (lambda net, x: torch.cat([net.a(x), net.b(x)], 1), 8, "operator cat"),
    "channel padding": (lambda net, x: F.pad(net.a(x), (0, 0, 0, 0, 1, 1)), 6, "padding of channels"),
    "channel slice": (lambda net, x: net.a(x)[:, :2], 2, "slice over its channels"),
    "channel mean": (lambda net, x: net.a(x).mean(1, keepdim=True), 1, "mean over its channels"),
    "mean from behind": (lambda net, x: net.a(x).mean(-3, keepdim=True), 1, "mean over its channels"),
    "group norm": (lambda net, x: net.group(net.a(x)), 4, "group, which cannot be crossed"),
    "batch norm that always shifts": (lambda net, x: net.norm(net.a(x)), 4, "norm has no weight and bias"),
    "limits beyond zero": (lambda net, x: F.hardtanh(net.a(x), 0.2, 1.0), 4, "limits beyond zero"),
    "sigmoid": (lambda net, x: torch.sigmoid(net.a(x)), 4, "operator sigmoid"),
    "constant": (lambda net, x: net.a(x) + 1, 4, "add of a constant"),
    "constant tensor": (lambda net, x: net.a(x) * net.constant, 4, "mul by a constant tensor"),
    "softmax": (lambda net, x: torch.softmax(net.a(x), 1), 4, "operator softmax"),
    "reduction to one number": (lambda net, x: net.a(x) * net.a(x).sum(), 4, "sum over its channels"),
    "flattened and cut": (lambda net, x: net.a(x).flatten(1)[:, :128].view(-1, 2, 8, 8), 2, "slice over its channels"),
    "spatial padding by ones": (lambda net, x: F.pad(net.a(x), (1, 1, 1, 1), value=1.0), 4, "padding by 1"),
    "split channels": (lambda net, x: net.a(x).unflatten(1, (2, 2)).mean(1), 2, "unflatten over its channels"),
    "pooled channels": (lambda net, x: F.max_pool3d(net.a(x), (2, 1, 1)), 2, "max_pool3d over its channels"),
    "not called": (lambda net, x: net.b(x), 4, "do not pass through it"),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_cannot_be_crossed_is_refused(name, images):
    between, width, reason = OBSTACLES[name]
    model = Net(between, width)
    assert "a" not in prunable_filters(model, images)
    with pytest.raises(ValueError, match=f"Filters of a cannot be taken out: .*{reason}"):
        coupled(model, filters(model, ["a"]), images)


@pytest.mark.parametrize(
    "between",
    [
        lambda net, x: F.pad(net.a(x), (1, 1, 1, 1)),
        lambda net, x: net.a(x)[:, :, ::2, 1:],
        lambda net, x: F.silu(net.a(x) * 2).mean((2, 3), keepdim=True),
        lambda net, x: F.avg_pool2d(F.hardswish(net.a(x)), 2),
        lambda net, x: net.a(x).flatten(2).transpose(1, 2).relu().permute(0, 2, 1).unflatten(2, (8, 8)),
        lambda net, x: sum([net.a(x), net.a(x) * 2]),  # one layer twice; Python begins at 0
        lambda net, x: nn.ReLU6()(F.hardtanh(net.a(x), -2.0, 0.5)),
        lambda net, x: F.relu_(net.a(x)).sum((-1, -2), keepdim=True) / 4,
    ],
)
def test_what_leaves_channels_apart_is_crossed(between, images):
    model = Net(between)
    mask = coupled(model, filters(model, ["a"]), images)
    small = shrink(model, mask, images)
    assert small.a.out_channels == small.c.in_channels == 2
    assert torch.allclose(outputs(small, images), outputs(masked(model, mask), images), atol=1e-6)


def test_a_model_joined_with_its_own_input_is_refused():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.last = model, nn.Linear(4, 2)

        def forward(self, x):
            return self.last(x + self.inner(x))

    assert prunable_filters(Skip(), torch.randn(3, 4)) == ["inner.0"]
