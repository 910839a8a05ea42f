"""Whatever the network, the shrunk one computes what the masked one does."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from masking import filters, masked, outputs, randomised
from torch import nn

from pruning.criteria import Magnitude
from pruning.ratios import Uniform
from pruning.ratios.counting import kept_count
from pruning.shrinking import Trace, coupled, joined_filters, joint_mask, prunable_filters, shrink


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise"])
@settings(max_examples=6, deadline=None)
@given(
    width=st.integers(2, 6),
    depth=st.integers(1, 3),
    sparsity=st.floats(0, 1),
    bias=st.booleans(),
    seed=st.integers(0, 9),
)
def test_small_random_networks_compute_what_their_masked_ones_do(name, width, depth, sparsity, bias, seed):
    torch.manual_seed(seed)
    model = randomised(Random(name, width, depth, bias), seed)
    x = torch.randn(2, 3, 6, 6)
    trace = Trace(model, x)
    mask = coupled(model, filters(model, prunable_filters(model, trace), sparsity, keep_at_least=1), trace)
    groups = joined_filters(model, trace)
    if groups:
        ratio = Uniform(sparsity, keep_at_least=1)
        mask = coupled(model, mask & joint_mask(model, groups, criterion=Magnitude(), ratio=ratio), trace)
    small = shrink(model, mask, trace)
    assert torch.allclose(outputs(small, x), outputs(masked(model, mask), x), atol=1e-5, rtol=1e-5)
    kept = max(1, kept_count(width, sparsity))
    for layer in (*prunable_filters(model, trace), *(name for group in groups for name in group)):
        assert small.get_submodule(layer).out_channels == kept


class Random(nn.Module):
    """Blocks of one kind, one behind the other, between a stem and a classifier."""

    def __init__(self, kind, width, depth, bias):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=bias)
        self.kind = kind
        groups = width if kind == "depthwise" else 1
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, groups=groups, bias=bias),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.Conv2d(width, width, 1, bias=bias),
            )
            for _ in range(depth)
        )
        self.fc = nn.Linear(width * 9, 2)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x) if self.kind == "residual" else block(x)
        return self.fc(F.max_pool2d(x, 2).flatten(1))
