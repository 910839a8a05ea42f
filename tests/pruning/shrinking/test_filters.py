import copy
import subprocess
import sys

import pytest
import torch
from masking import filters, masked, outputs, randomised
from torch import nn

from harness.models import build_model
from pruning.mask import Mask
from pruning.masking import make_mask
from pruning.ratios import Uniform
from pruning.shrinking import Trace, coupled, prunable_filters, shrink

INNER = [f"layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in range(3)]


def sequential():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),  # depthwise: falls with the layer that feeds it
        nn.BatchNorm2d(8),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 1),
        nn.Flatten(),
        nn.Linear(12 * 16, 16),
        nn.BatchNorm1d(16),
        nn.GELU(),
        nn.Linear(16, 10),
    )
    return randomised(model)


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def resnet():
    return randomised(build_model("resnet20", seed=0))


def test_of_a_resnet_with_padded_shortcuts_the_inner_filters_can_go(resnet, images):
    assert prunable_filters(resnet, images) == INNER


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.9])
def test_a_shrunk_resnet_computes_what_the_masked_one_does(resnet, images, sparsity):
    before = {name: tensor.clone() for name, tensor in resnet.state_dict().items()}
    mask = coupled(resnet, filters(resnet, INNER, sparsity, multiple_of=8, keep_at_least=1), images)
    small = shrink(resnet, mask, images)
    other = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(outputs(small, other), outputs(masked(resnet, mask), other), atol=1e-5, rtol=1e-5)
    widths = [small.get_submodule(name).out_channels for name in INNER]
    expected = {0.25: [16, 24, 48], 0.5: [8, 16, 32], 0.9: [8, 8, 8]}[sparsity]
    assert widths == [width for width in expected for _ in range(3)]
    assert small.layer1[0].conv2.in_channels == small.layer1[0].bn1.num_features == widths[0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in resnet.state_dict().items())


def test_a_shrunk_sequential_net_computes_what_the_masked_one_does(images):
    model = sequential()
    layers = prunable_filters(model, images)
    assert layers == ["0", "6", "8"]
    mask = coupled(model, filters(model, layers), images)
    assert {"0.bias", "1.weight", "1.bias", "3.weight", "3.bias", "4.bias", "6.bias", "8.bias", "9.bias"} <= set(mask)
    small = shrink(model, mask, images)
    assert torch.allclose(outputs(small, images), outputs(masked(model, mask), images), atol=1e-5)
    assert [small[i].weight.shape[0] for i in (0, 1, 3, 4, 6, 8, 9)] == [4, 4, 4, 4, 6, 8, 8]
    assert small[8].in_features == 6 * 16


def test_modes_and_frozen_parameters_stay_as_they_were(resnet, images):
    model = copy.deepcopy(resnet).train()
    model.bn1.eval()
    model.fc.weight.requires_grad_(False)
    small = shrink(model, coupled(model, filters(model, INNER), images), images)
    assert (small.training, small.bn1.training, small.layer1[0].bn1.training) == (True, False, True)
    assert (small.fc.weight.requires_grad, small.layer1[0].conv1.weight.requires_grad) == (False, True)
    assert (model.training, model.bn1.training, model.fc.weight.requires_grad) == (True, False, False)


def test_a_mask_without_whole_filters_changes_no_shape(resnet, images):
    mask = make_mask(resnet, criterion="magnitude", granularity="element", ratio=Uniform(0.5))
    small = shrink(resnet, mask, images)
    assert {n: p.shape for n, p in small.named_parameters()} == {n: p.shape for n, p in resnet.named_parameters()}
    assert torch.equal(small.fc.weight == 0, ~mask["fc.weight"])


@pytest.mark.parametrize("layer", ["conv1", "layer1.1.conv2", "layer2.0.conv2", "layer3.2.conv2"])
def test_filters_on_the_residual_stream_are_refused_by_name(resnet, images, layer):
    mask = filters(resnet, [layer])
    for use in (coupled, shrink):
        with pytest.raises(
            ValueError, match=rf"Filters of {layer} cannot be taken out: it reaches a padding of channels"
        ):
            use(resnet, mask, images)
    assert shrink(resnet, mask, images, layers=INNER).conv1.out_channels == 16


def test_the_classifier_reaches_the_output(resnet, images):
    with pytest.raises(ValueError, match=r"Filters of fc cannot .* reaches the output of the model"):
        shrink(resnet, filters(resnet, ["fc"]), images)


def test_a_mask_that_leaves_the_batch_norm_is_refused(resnet, images):
    with pytest.raises(ValueError, match=r"layer1\.0\.bn1\.weight of the same channels is not.*coupled"):
        shrink(resnet, filters(resnet, INNER), images)


def test_a_layer_cannot_lose_all_its_filters(resnet, images):
    with pytest.raises(ValueError, match=r"removes all 16 units of layer1\.0\.conv1"):
        coupled(resnet, filters(resnet, INNER, 1.0), images)


def test_unknown_layers_and_foreign_masks_are_refused(resnet, images):
    with pytest.raises(ValueError, match=r"named 'layer1\.0\.conv3'\. Did you mean"):
        shrink(resnet, filters(resnet, INNER), images, layers=["layer1.0.conv3"])
    with pytest.raises(ValueError, match="no parameter 'conv9' to mask"):
        shrink(resnet, Mask({"conv9": torch.tensor([False])}), images)


def test_the_comparison_catches_what_tracing_cannot_see(images):
    """The number of channels enters as a plain number, so a narrower layer changes the outputs."""

    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

        def forward(self, x):
            y = self.a(x)
            return self.c(y * y.shape[1])

    model = Hidden()
    mask = coupled(model, filters(model, ["a"]), images)
    with pytest.raises(ValueError, match="computes something else"):
        shrink(model, mask, images)


def test_a_model_that_does_not_run_on_the_example_is_refused(resnet):
    with pytest.raises(ValueError, match="could not be traced on the example inputs") as caught:
        prunable_filters(resnet, torch.randn(2, 5, 8, 8))
    assert caught.value.__cause__ is not None


def test_shrinking_needs_neither_torchvision_nor_torch_pruning():
    program = """
import sys
sys.modules["torchvision"] = sys.modules["torch_pruning"] = None
import torch
from pruning.shrinking import prunable_filters
model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2))
assert prunable_filters(model, torch.ones(1, 2)) == ["0"]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_depthwise_filter_does_not_fall_without_its_input(images):
    model = sequential()
    with pytest.raises(ValueError, match=r"Filters of 3 cannot .* grouped convolution"):
        coupled(model, filters(model, ["3"]), images)


def test_coupling_twice_changes_nothing(images):
    model = sequential()
    mask = coupled(model, filters(model, ["0", "8"]), images)
    assert coupled(model, mask, images) == mask


def test_one_trace_serves_all_and_outlives_a_change_of_weights(resnet, images):
    trace = Trace(resnet, images)
    assert prunable_filters(resnet, trace) == INNER
    mask = coupled(resnet, filters(resnet, INNER), trace)
    assert mask == coupled(resnet, filters(resnet, INNER), images)
    trained = randomised(copy.deepcopy(resnet), seed=3)
    assert torch.allclose(
        outputs(shrink(trained, mask, trace), images), outputs(masked(trained, mask), images), atol=1e-5
    )
    with pytest.raises(ValueError, match="trace was made of a model with other layers"):
        shrink(sequential(), Mask({}), trace)


def test_one_run_traces_and_two_compare(images):
    runs = []
    model = sequential()
    model[0].register_forward_hook(lambda *_: runs.append(1))
    trace = Trace(model, images)
    mask = coupled(model, filters(model, prunable_filters(model, trace)), trace)
    assert len(runs) == 1
    proven = shrink(model, mask, trace)
    assert len(runs) == 3
    unproven = shrink(model, mask, trace, verify=False)
    assert len(runs) == 3
    assert torch.equal(outputs(unproven, images), outputs(proven, images))


def test_tracing_leaves_no_mark_on_the_model(images):
    model = sequential().train()
    model(images).sum().backward()
    before, generator = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    gradients = [p.grad.clone() for p in model.parameters()]
    shrink(model, coupled(model, filters(model, ["0"]), images), images)
    assert all(torch.equal(p.grad, gradient) for p, gradient in zip(model.parameters(), gradients, strict=True))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator) and model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_layers_that_share_a_parameter_are_refused(images):
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 2, 1))
    model[2].weight = model[0].weight
    assert prunable_filters(model, images) == []


def test_a_slope_per_channel_falls_along(images):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.PReLU(4), nn.Flatten(), nn.BatchNorm1d(256), nn.Linear(256, 2))
    randomised(model)
    mask = coupled(model, filters(model, ["0"]), images)
    small = shrink(model, mask, images)
    assert (small[1].num_parameters, small[3].num_features, small[4].in_features) == (2, 128, 128)
    assert torch.allclose(outputs(small, images), outputs(masked(model, mask), images), atol=1e-5)
