"""A network in, a pruned one out, in one call; what does not fit is listed, and nothing is refused for it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning import Global, Magnitude, Uniform, fitting_layers, make_mask, mask_rule, prune_filters, prune_n_m
from pruning.granularity import NM, KernelPatterns


class Residual(nn.Module):
    """Three channels in, a sum of two convolutions, a depthwise one, a classifier of five."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.inner, self.outer = nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x)).relu()
        x = (x + self.outer(self.inner(x).relu())).relu()
        return self.head(self.depthwise(x).mean((2, 3)))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return Residual().eval()


INPUTS = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_filters_go_whole_also_where_outputs_are_added(model: nn.Module) -> None:
    pruned = prune_filters(model, INPUTS, 0.5)
    small = pruned.model
    assert (small.stem.out_channels, small.inner.out_channels, small.outer.out_channels) == (8, 4, 8)
    assert small.depthwise.groups == 8 and small.head.in_features == 8
    assert torch.allclose(small(INPUTS), pruned.mask.apply_(model)(INPUTS), atol=1e-5)
    assert set(pruned.layers) == {"stem", "inner", "outer"}
    assert "output" in pruned.left_out["head"] and "grouped" in pruned.left_out["depthwise"]


def test_filters_are_rounded_and_shared_out_as_asked(model: nn.Module) -> None:
    small = prune_filters(model, INPUTS, 0.6, criterion=Magnitude(p=2), ratio=Global, multiple_of=4).model
    assert small.stem.out_channels % 4 == small.inner.out_channels % 4 == 0
    assert small.stem.out_channels + small.inner.out_channels < 24


def test_a_network_without_anything_to_take_out_says_why() -> None:
    with pytest.raises(ValueError, match=r"No filter of this network can be taken out\. 0: .*output"):
        prune_filters(nn.Sequential(nn.Linear(4, 2)), torch.randn(2, 4), 0.5)


def test_two_of_four_leaves_out_what_does_not_fit(model: nn.Module) -> None:
    before = model.stem.weight.clone()
    pruned = prune_n_m(model)
    assert set(pruned.layers) == {"inner", "outer", "head"}
    assert "3 is no multiple" in pruned.left_out["stem"] and "1 is no multiple" in pruned.left_out["depthwise"]
    kept = (pruned.model.inner.weight != 0).movedim(1, -1).reshape(-1, 4).sum(1)
    assert bool((kept == 2).all()) and torch.equal(pruned.model.stem.weight, before)
    with pytest.raises(ValueError, match="multiple of 64"):
        prune_n_m(model, 32, 64)


def test_the_layers_that_fit_are_told(model: nn.Module) -> None:
    fitting, left_out = fitting_layers(model, KernelPatterns())
    assert fitting == ["stem", "inner", "outer", "depthwise"] and list(left_out) == ["head"]
    assert fitting_layers(model, NM(1, 1)) == (["stem", "inner", "outer", "depthwise", "head"], {})


def test_a_rule_is_make_mask_at_any_sparsity(model: nn.Module) -> None:
    rule = mask_rule(criterion="magnitude", granularity="element", ratio=Global)
    half = make_mask(model, criterion="magnitude", granularity="element", ratio=Global(0.5))
    assert rule(model, 0.5, None) == half
    more = rule(model, 0.8, half)
    assert more.sparsity == pytest.approx(0.8, abs=1e-3) and all(bool((more[n] <= half[n]).all()) for n in more)


@pytest.mark.parametrize("ratio", [0.5, Uniform])
def test_a_number_is_no_ratio(model: nn.Module, ratio: object) -> None:
    with pytest.raises(ValueError, match=r"Uniform\(0\.5\) or Global\(0\.5\)"):
        make_mask(model, criterion="magnitude", granularity="element", ratio=ratio)
