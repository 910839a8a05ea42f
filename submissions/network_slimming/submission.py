"""Batch-norm scales are driven to zero, and their filters taken out (Liu et al. 2017, arXiv 1708.06519)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context, ParameterError
from pruning import BatchNormScale, Filter, Global, Regularised, Trace, coupled, make_mask, prunable_filters, shrink
from pruning.recovery.regularise import BatchNormL1


class Entry:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        if not any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
            raise ParameterError(
                "Network Slimming judges filters by the scales of batch norm, and this network has none. "
                "Tasks where it works: cifar10_resnet20, imagenet_resnet50, imagenet_mobilenetv2."
            )
        peak = config["learning_rate_factor"] * context.recipe.learning_rate
        loss = Regularised(BatchNormL1(), config["strength"])
        slim = context.train(model, epochs=config["epochs_slimming"], learning_rate=peak, loss=loss)
        trace = Trace(slim, context.data.sample[:2])
        mask = make_mask(
            slim,
            criterion=BatchNormScale(),
            granularity=Filter(),
            ratio=Global(config["sparsity"], multiple_of=config["multiple_of"], keep_at_least=1),
            layers=prunable_filters(slim, trace),
            data=context.data.train,
        )
        small = shrink(slim, coupled(slim, mask, trace), trace)
        return context.train(small, epochs=config["epochs"], learning_rate=peak)
