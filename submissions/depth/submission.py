"""Whole blocks that hardly change what passes them are taken out (Men et al. 2024, arXiv 2403.03853)."""

from __future__ import annotations

import copy
from itertools import islice

from torch import nn

from harness.contract import Context, ParameterError
from pruning import block_importance, removable_blocks, remove_blocks


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config, inputs = context.config, context.data.sample[:2]
        blocks = removable_blocks(model, inputs)
        if len(blocks) <= config["blocks"]:
            raise ParameterError(
                f"This network has {len(blocks)} blocks that can be skipped; blocks={config['blocks']} would leave "
                "none. Tasks where it works: cifar10_resnet20, rotten_tomatoes_minilm."
            )
        importance = block_importance(model, blocks, islice(context.data.train, config["batches"]))
        least = sorted(blocks, key=lambda name: importance[name])[: config["blocks"]]
        dense = copy.deepcopy(model)
        small = remove_blocks(model, least, inputs)
        return context.train(small, epochs=config["epochs"], learning_rate=context.learning_rate, teacher=dense)
