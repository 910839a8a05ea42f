"""The networks that tasks use, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.names import pick

if TYPE_CHECKING:
    from torch import nn


def build_model(name: str, *, seed: int) -> nn.Module:
    """Build the network `name` in float32, initialised from `seed` alone.

    The global random state of torch is left as it was.

    Raises:
        UnknownNameError: no such model; the message names the nearest.
    """
    import torch

    from harness.models import mobilenetv2_cifar, resnet_cifar, vgg_cifar

    builders = {
        "resnet20": resnet_cifar.resnet20,
        "vgg_cifar": vgg_cifar.vgg_cifar,
        "mobilenetv2_cifar": mobilenetv2_cifar.mobilenetv2_cifar,
        "mobilenetv2_cifar_half": mobilenetv2_cifar.mobilenetv2_cifar_half,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return pick("model", name, builders)()
