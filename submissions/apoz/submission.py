"""Units that are mostly zero behind their ReLU are taken out (Network Trimming: Hu et al. 2016, arXiv 1607.03250)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context, ParameterError
from pruning import APoZ, Filter, Global, Mask, Trace, coupled, iterative, make_mask, prunable_filters, shrink


class Entry:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        trace = Trace(model, context.data.sample[:2])
        layers = prunable_filters(model, trace)
        judge = APoZ(max_batches=config["batches"])

        def mask_at(model: nn.Module, sparsity: float, within: Mask | None) -> Mask:
            ratio = Global(sparsity, multiple_of=config["multiple_of"], keep_at_least=1)
            mask = make_mask(
                model,
                criterion=judge,
                granularity=Filter(),
                ratio=ratio,
                layers=layers,
                data=context.data.train,
                within=within,
            )
            return coupled(model, mask, trace)  # biases and batch norms fall with their filters

        try:
            mask_at(model, 0.0, None)  # a network without ReLU is refused before any training
        except ValueError as error:
            works = "digits_mlp, mnist_lenet300, cifar10_resnet20"
            raise ParameterError(f"{error} Tasks where it works: {works}.") from error

        pruned, mask = iterative(
            model,
            mask_at,
            sparsity=config["sparsity"],
            steps=config["steps"],
            train=context.train,
            epochs=config["epochs"],
            learning_rate=config["learning_rate_factor"] * context.recipe.learning_rate,
        )
        return shrink(pruned, mask, trace)
