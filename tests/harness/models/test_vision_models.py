"""The perceptrons, and torchvision's networks against their task files; no weights are drawn for counting."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.models import BUILDERS, build_model
from harness.models.mlp import digits_mlp, lenet300
from harness.models.torchvision_models import NETWORKS, fitting_state
from harness.tasks import load_task
from harness.util.names import UnknownNameError
from harness.util.vision import import_torchvision

TASKS = ("mnist_lenet300", "digits_mlp", *NETWORKS)


def without_memory(model: str) -> torch.nn.Module:
    """The network with shapes alone."""
    module, function = BUILDERS[model].split(":")
    with torch.device("meta"):
        return getattr(__import__(module, fromlist=[function]), function)().eval()


@pytest.mark.parametrize("name", TASKS)
def test_the_task_counts_what_torch_counts(name: str) -> None:
    task = load_task(name)
    model = without_memory(task.model)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == task.parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits = model(torch.zeros(1, *task.input.shape, device="meta"))
    assert logits.shape == (1, task.input.classes)
    assert counter.get_total_flops() / 2 == pytest.approx(task.macs, rel=0.005)
    assert task.budget.onnx_bytes > 4 * task.parameters * 1.05


@pytest.mark.parametrize("name", NETWORKS)
def test_the_task_names_the_weights_that_torchvision_publishes(name: str) -> None:
    import_torchvision()
    from torchvision.models import get_weight

    reference, weights = load_task(name).reference, get_weight(NETWORKS[name][1])
    assert (reference.origin, reference.basis) == ("torchvision", "published")
    assert reference.weights == weights.url.rsplit("/", 1)[1]
    assert reference.value == round(weights.meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100, 6)
    assert reference.weights.endswith(f"-{reference.sha256}.pth")
    assert weights.url == f"https://download.pytorch.org/models/{reference.weights}"
    assert reference.published is not None and reference.published_source


def test_an_auxiliary_classifier_is_dropped_and_nothing_else() -> None:
    state = without_memory("imagenet_googlenet").state_dict()
    file = {**state, "aux1.fc1.weight": torch.zeros(1), "aux2.conv.bn.bias": torch.zeros(1)}
    assert fitting_state("imagenet_googlenet", file).keys() == state.keys()
    other = {"auxiliary": torch.zeros(1), "aux1.weight": torch.zeros(1)}
    assert fitting_state("imagenet_alexnet", other) == other
    with pytest.raises(UnknownNameError, match="imagenet_alexnet"):
        fitting_state("imagenet_alexnett", {})


def test_a_seed_makes_a_network() -> None:
    """SqueezeNet is built with weights: torchvision's networks too depend on the seed alone."""
    for name in ("lenet300", "imagenet_squeezenet"):
        first, same, other = (build_model(name, seed=seed).state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(first[key], same[key]) for key in first)
        assert any(not torch.equal(first[key], other[key]) for key in first)


def test_perceptrons_are_linear_layers_with_relu_between() -> None:
    assert [m.weight.shape[::-1] for m in lenet300().layers if hasattr(m, "weight")] == [
        (784, 300),
        (300, 100),
        (100, 10),
    ]
    model = digits_mlp()
    x = torch.randn(3, 1, 8, 8)
    a, b, c = (layer for layer in model.layers if isinstance(layer, torch.nn.Linear))
    by_hand = c(b(a(x.reshape(3, 64)).clamp(min=0)).clamp(min=0))
    assert torch.allclose(model(x), by_hand)
    assert torch.allclose(model(x.contiguous(memory_format=torch.channels_last)), by_hand)
