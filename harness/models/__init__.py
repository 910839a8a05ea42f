"""The networks that tasks use, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.util.names import pick

if TYPE_CHECKING:
    from torch import nn


# Model → `module:function`; nothing is imported until needed.
BUILDERS = {
    "resnet20": "harness.models.resnet_cifar:resnet20",
    "vgg_cifar": "harness.models.vgg_cifar:vgg_cifar",
    "mobilenetv2_cifar": "harness.models.mobilenetv2_cifar:mobilenetv2_cifar",
    "mobilenetv2_cifar_half": "harness.models.mobilenetv2_cifar:mobilenetv2_cifar_half",
    "lenet300": "harness.models.mlp:lenet300",
    "digits_mlp": "harness.models.mlp:digits_mlp",
    "imagenet_resnet50": "harness.models.torchvision_models:imagenet_resnet50",
    "imagenet_vgg16": "harness.models.torchvision_models:imagenet_vgg16",
    "imagenet_mobilenetv2": "harness.models.torchvision_models:imagenet_mobilenetv2",
    "imagenet_alexnet": "harness.models.torchvision_models:imagenet_alexnet",
    "imagenet_squeezenet": "harness.models.torchvision_models:imagenet_squeezenet",
    "imagenet_googlenet": "harness.models.torchvision_models:imagenet_googlenet",
    "minilm_l6": "harness.models.bert:minilm_l6",
    "bert_base": "harness.models.bert:bert_base",
}
# Those whose training starts from pretrained weights.
PRETRAINED: dict[str, str] = {
    "minilm_l6": "harness.models.bert:pretrained_minilm_l6",
    "bert_base": "harness.models.bert:pretrained_bert_base",
}


def build_model(name: str, *, seed: int) -> nn.Module:
    """Build the network `name` in float32, initialised from `seed` alone.

    The global random state of torch is left as it was.

    Raises:
        UnknownNameError: no such model; the message names the nearest.
    """
    import torch

    builder = _function(pick("model", name, BUILDERS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return builder()


def initial_model(name: str, *, seed: int) -> nn.Module:
    """The network as the training of a reference starts with it.

    It holds pretrained weights where the model has some, with what they lack (a new head)
    initialised from `seed`; else it is `build_model`.

    Raises:
        UnknownNameError: no such model.
        DataUnavailableError: the pretrained weights are not there and cannot be fetched.
    """
    import torch

    if name not in PRETRAINED:
        return build_model(name, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _function(PRETRAINED[name])()


def _function(place: str) -> Callable[[], nn.Module]:
    from importlib import import_module

    module, function = place.split(":")
    return getattr(import_module(module), function)
