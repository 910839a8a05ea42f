"""torchvision's ImageNet networks, as torchvision defines them.

Each builder gives the network with weights drawn anew. The published weights come as files of
torchvision's own; `fitting_state` maps a file's content to the network built here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.util.names import pick
from harness.util.vision import import_torchvision

if TYPE_CHECKING:
    import torch
    from torch import nn

# Model → torchvision's function and its weights. The first published version of each, which was
# trained in the plain way; later versions come from longer recipes.
NETWORKS = {
    "imagenet_resnet50": ("resnet50", "ResNet50_Weights.IMAGENET1K_V1"),
    "imagenet_vgg16": ("vgg16", "VGG16_Weights.IMAGENET1K_V1"),
    "imagenet_mobilenetv2": ("mobilenet_v2", "MobileNet_V2_Weights.IMAGENET1K_V1"),
    "imagenet_alexnet": ("alexnet", "AlexNet_Weights.IMAGENET1K_V1"),
    "imagenet_squeezenet": ("squeezenet1_0", "SqueezeNet1_0_Weights.IMAGENET1K_V1"),
    "imagenet_googlenet": ("googlenet", "GoogLeNet_Weights.IMAGENET1K_V1"),
}
# Left out of the network built here, so their weights are left out as well.
DROPPED_PREFIXES = {"imagenet_googlenet": ("aux1.", "aux2.")}


def imagenet_resnet50() -> nn.Module:
    """ResNet-50 (He et al. 2016, arXiv 1512.03385, table 1), with the stride in the 3×3 convolutions."""
    return _network("imagenet_resnet50")


def imagenet_vgg16() -> nn.Module:
    """VGG-16 (Simonyan & Zisserman 2015, arXiv 1409.1556, table 1, D), without batch norm."""
    return _network("imagenet_vgg16")


def imagenet_mobilenetv2() -> nn.Module:
    """MobileNetV2 of width 1 (Sandler et al. 2018, arXiv 1801.04381, table 2)."""
    return _network("imagenet_mobilenetv2")


def imagenet_alexnet() -> nn.Module:
    """AlexNet in the one-tower variant of Krizhevsky 2014, arXiv 1404.5997."""
    return _network("imagenet_alexnet")


def imagenet_squeezenet() -> nn.Module:
    """SqueezeNet 1.0 (Iandola et al. 2016, arXiv 1602.07360, table 1)."""
    return _network("imagenet_squeezenet")


def imagenet_googlenet() -> nn.Module:
    """GoogLeNet (Szegedy et al. 2015, arXiv 1409.4842, table 1), with batch norm, without auxiliary classifiers.

    The published weights came from TensorFlow, whose inputs lie in −1…1: the network itself turns
    inputs normalised as usual into those.
    """
    return _network("imagenet_googlenet", aux_logits=False, transform_input=True, init_weights=True)


def fitting_state(model: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The content of torchvision's weight file as `load_state_dict` of `model` takes it, strictly.

    Raises:
        UnknownNameError: `model` is none of torchvision's.
    """
    pick("model with published weights", model, NETWORKS)
    dropped = DROPPED_PREFIXES.get(model, ())
    return {name: tensor for name, tensor in state.items() if not name.startswith(dropped)}


def _network(model: str, **options: Any) -> nn.Module:
    import_torchvision()
    from torchvision.models import get_model

    return get_model(NETWORKS[model][0], weights=None, **options)
