"""Quantisation-aware training: the network learns with its weights rounded (Jacob et al. 2018, arXiv 1712.05877)."""

from __future__ import annotations

from itertools import islice

from torch import nn

from harness.contract import Context
from pruning import quantise_aware


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        return quantise_aware(
            model,
            config["bits"],
            train=context.train,
            epochs=config["epochs"],
            learning_rate=context.learning_rate,
            per_channel=config["per_channel"],
            data=list(islice(context.data.train, config["batches"])) if config["activations"] else None,
        )
