import copy

import pytest
import torch
from torch import nn

from harness.models.mobilenetv2_cifar import MobileNetV2Cifar
from pruning.criteria import Magnitude
from pruning.mask import Mask
from pruning.ratios import Global, Uniform
from pruning.shrinking import Trace, coupled, from_channels, joined_filters, joint_mask, prunable_filters, shrink


class Residual(nn.Module):
    """A stem, a block with a projection, a block without, a classifier: as in a ResNet of option B."""

    def __init__(self):
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 1), nn.Conv2d(6, 6, 3, padding=1)
        self.shortcut, self.norm = nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        x = self.stem(x).relu()
        x = (self.norm(self.a(x)) + self.shortcut(x)).relu()
        x = x + self.b(x)
        return self.fc(x.mean((2, 3)))


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = Residual()
    nn.init.uniform_(model.norm.bias)
    nn.init.uniform_(model.norm.running_mean)
    return model


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def outputs(model, inputs):
    with torch.no_grad():
        return copy.deepcopy(model).eval()(inputs)


def same_as_masked(model, small, mask, inputs):
    return torch.allclose(outputs(small, inputs), outputs(mask.apply_(copy.deepcopy(model)), inputs), atol=1e-5)


def test_a_residual_stream_falls_as_one(model, images):
    groups = joined_filters(model, images)
    assert groups == [["a", "shortcut", "b"]] and prunable_filters(model, images) == ["stem"]
    mask = coupled(model, joint_mask(model, groups, criterion=Magnitude(), ratio=Uniform(0.5)), images)
    small = shrink(model, mask, images)
    assert same_as_masked(model, small, mask, images)
    assert small.a.out_channels == small.shortcut.out_channels == small.norm.num_features == 3
    assert (small.b.in_channels, small.b.out_channels, small.fc.in_features) == (3, 3, 3)


def test_a_joint_score_is_the_sum_of_the_members(model):
    with torch.no_grad():
        for layer, strong in (("a", 0), ("b", 1), ("shortcut", 2)):
            weight = model.get_submodule(layer).weight
            weight.zero_()
            weight[strong, 0, 0, 0] = 3.0 - strong  # joint scores by hand: 3, 2, 1, 0, 0, 0
    mask = joint_mask(model, [["a", "b", "shortcut"]], criterion=Magnitude(), ratio=Uniform(4 / 6))
    for layer in ("a", "b", "shortcut"):
        assert mask[f"{layer}.weight"].flatten(1).all(1).tolist() == [True, True] + [False] * 4


def test_joint_masks_nest_and_obey_a_global_ratio(model, images):
    groups = [*joined_filters(model, images), ["stem"]]
    first = joint_mask(model, groups, criterion=Magnitude(), ratio=Global(0.3))
    second = joint_mask(model, groups, criterion=Magnitude(p=2), ratio=Global(0.6), within=first)
    rows = {name: second[name].flatten(1).any(1) for name in second}
    assert sum(int((~rows[name]).sum()) for name in ("a.weight", "stem.weight")) == 6  # of 6 + 4
    assert torch.equal(rows["a.weight"], rows["b.weight"])
    assert all(not bool((second[name] & ~first[name]).any()) for name in first)


def test_members_that_disagree_are_refused(model, images):
    mask = dict(joint_mask(model, joined_filters(model, images), criterion=Magnitude(), ratio=Uniform(0.5)))
    mask["shortcut.weight"] = mask["shortcut.weight"].roll(1, 0)
    for use in (coupled, shrink):
        with pytest.raises(ValueError, match=r"Filters of a cannot .* joined with that of shortcut.*joint_mask"):
            use(model, Mask(mask), images)


def test_bad_groups_are_refused(model):
    with pytest.raises(ValueError, match="one group only"):
        joint_mask(model, [["a", "b"], ["b"]], criterion=Magnitude(), ratio=Uniform(0.5))
    with pytest.raises(ValueError, match=r"joined with stem differ in width: \[4, 6\]"):
        joint_mask(model, [["stem", "a"]], criterion=Magnitude(), ratio=Uniform(0.5))
    model.b.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"score to b\.weight that is not a number"):
        joint_mask(model, [["a", "b"]], criterion="magnitude", ratio=Uniform(0.5))
    with pytest.raises(ValueError, match="named 'c'"):
        joint_mask(model, [["c"]], criterion=Magnitude(), ratio=Uniform(0.5))


def test_every_stream_of_a_mobilenet_shrinks(images):
    model = MobileNetV2Cifar(0.25)
    images = torch.randn(2, 3, 16, 16)
    trace = Trace(model, images)
    groups = joined_filters(model, trace)
    assert [len(group) for group in groups] == [
        2,
        5,
        4,
        3,
        3,
    ]  # by stages; two are of one width here, and so one stream
    alone = [[name] for name in prunable_filters(model, trace)]
    mask = coupled(
        model, joint_mask(model, groups + alone, criterion=Magnitude(), ratio=Uniform(0.5, keep_at_least=1)), trace
    )
    small = shrink(model, mask, trace)
    assert same_as_masked(model, small, mask, images)
    wide = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    narrow = [layer for layer in small.modules() if isinstance(layer, nn.Conv2d)]
    assert all(b.out_channels == a.out_channels // 2 for a, b in zip(wide, narrow, strict=True))


def test_channels_that_no_layer_reads_fall_where_they_are_made(model, images):
    keep = torch.ones(6, 6, 3, 3, dtype=torch.bool)
    keep[:, [1, 4]] = False
    classifier = torch.ones(2, 6, dtype=torch.bool)
    classifier[:, [4, 5]] = False
    mask = Mask({"b.weight": keep, "fc.weight": classifier})
    found = from_channels(model, mask, images)
    for layer in ("a", "b", "shortcut"):  # channel 4 alone is read by neither b nor fc
        assert found[f"{layer}.weight"].flatten(1).any(1).tolist() == [True] * 4 + [False, True]
    small = shrink(model, coupled(model, found, images), images)
    assert small.b.in_channels == small.fc.in_features == 5
    assert same_as_masked(model, small, mask, images)  # of the mask as it was: nothing else changed


def test_channels_behind_a_flattening_need_all_their_columns():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    images = torch.randn(2, 1, 2, 2)
    keep = torch.ones(2, 12, dtype=torch.bool)
    keep[:, 3:8] = False  # the last column of channel 0, and channel 1
    found = from_channels(model, Mask({"3.weight": keep}), images)
    assert found["0.weight"].flatten().tolist() == [True, False, True]
    assert set(from_channels(model, Mask({}), images)) == set()
