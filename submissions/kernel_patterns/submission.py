"""Every 3×3 kernel keeps one of a few patterns; some go whole (PatDNN: Niu et al. 2020, arXiv 2001.00138)."""

from __future__ import annotations

import copy

from torch import nn

from harness.contract import Context, ParameterError
from pruning import Global, Kernel, KernelPatterns, distil, make_mask, weight_layers


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        layers = [name for name, layer in weight_layers(model).items() if tuple(layer.weight.shape[2:]) == (3, 3)]
        if len(layers) < 2:  # the first stays dense
            raise ParameterError(
                "This network has no 3×3 kernels to cut patterns from. "
                "Tasks where it works: cifar10_resnet20, imagenet_vgg16, imagenet_resnet50."
            )
        dense = copy.deepcopy(model)
        connected = make_mask(
            model,
            criterion="magnitude",
            granularity=Kernel(),
            ratio=Global(config["connectivity"]),
            layers=layers,
            skip_first_conv=True,
        )
        mask = make_mask(
            model,
            criterion="magnitude",
            granularity=KernelPatterns(config["entries"], config["patterns"]),
            layers=layers,
            skip_first_conv=True,
            within=connected,
        )
        return distil(
            model,
            mask,
            teacher=dense,
            train=context.train,
            epochs=config["epochs"],
            learning_rate=context.learning_rate,
        )
