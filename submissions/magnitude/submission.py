"""Magnitude pruning of single weights (Han et al. 2015, arXiv 1506.02626), one threshold for all layers."""

from __future__ import annotations

import copy
from functools import partial

from torch import nn

from harness.contract import Context
from pruning import Global, Mask, make_mask, one_shot


class Entry:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        teacher = copy.deepcopy(model) if config["distil"] else None

        def mask_at(model: nn.Module, sparsity: float, within: Mask | None) -> Mask:
            return make_mask(model, criterion="magnitude", granularity="element", ratio=Global(sparsity), within=within)

        pruned, _ = one_shot(
            model,
            mask_at,
            sparsity=config["sparsity"],
            train=partial(context.train, teacher=teacher),
            epochs=config["epochs"],
            learning_rate=config["learning_rate_factor"] * context.recipe.learning_rate,
        )
        return pruned
