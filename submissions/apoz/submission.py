"""Units that are mostly zero behind their ReLU are taken out (Network Trimming: Hu et al. 2016, arXiv 1607.03250)."""

from __future__ import annotations

from functools import partial

from torch import nn

from harness.contract import Context, ParameterError
from pruning import APoZ, Global, Shrinkable, iterative


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        ratio = partial(Global, multiple_of=config["multiple_of"], keep_at_least=1)
        network = Shrinkable.of(model, context.data.sample[:2])
        mask_at = network.masks(criterion=APoZ(max_batches=config["batches"]), ratio=ratio, data=context.data.train)

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
            learning_rate=context.learning_rate,
        )
        return network.shrink(pruned, mask)
