"""Attention heads that the loss hardly feels are taken out (Michel et al. 2019, arXiv 1905.10650)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context, ParameterError
from pruning import Global, Taylor, attention_blocks, head_mask, shrink_heads


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        if not attention_blocks(model):
            raise ParameterError(
                "This network has no attention heads. Tasks where it works: rotten_tomatoes_minilm, sst2_bert_base."
            )
        mask = head_mask(
            model,
            criterion=Taylor(average="importances", max_batches=config["batches"]),
            ratio=Global(config["sparsity"], keep_at_least=1),
            data=context.data.train,
        )
        small = shrink_heads(model, mask, context.data.sample[:2])
        return context.train(small, epochs=config["epochs"], learning_rate=context.learning_rate)
