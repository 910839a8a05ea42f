"""Batch-norm scales are driven to zero, and their filters taken out (Liu et al. 2017, arXiv 1708.06519)."""

from __future__ import annotations

from functools import partial

from torch import nn

from harness.contract import Context, ParameterError
from pruning import BatchNormScale, Global, Regularised, Shrinkable
from pruning.recovery.regularise import BatchNormL1


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        if not any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
            raise ParameterError(
                "Network Slimming judges filters by the scales of batch norm, and this network has none. "
                "Tasks where it works: cifar10_resnet20, imagenet_resnet50, imagenet_mobilenetv2."
            )
        loss = Regularised(BatchNormL1(), config["strength"])
        slim = context.train(model, epochs=config["epochs_slimming"], learning_rate=context.learning_rate, loss=loss)
        ratio = partial(Global, multiple_of=config["multiple_of"], keep_at_least=1)
        network = Shrinkable.of(slim, context.data.sample[:2])
        mask_at = network.masks(criterion=BatchNormScale(), ratio=ratio, data=context.data.train)
        small = network.shrink(slim, mask_at(slim, config["sparsity"], None))
        return context.train(small, epochs=config["epochs"], learning_rate=context.learning_rate)
