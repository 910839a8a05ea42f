"""Magnitude pruning of single weights (Han et al. 2015, arXiv 1506.02626), one threshold for all layers."""

from __future__ import annotations

import copy
from functools import partial

from torch import nn

from harness.contract import Context
from pruning import Global, mask_rule, one_shot


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        teacher = copy.deepcopy(model) if config["distil"] else None

        mask_at = mask_rule(criterion="magnitude", granularity="element", ratio=Global)
        pruned, _ = one_shot(
            model,
            mask_at,
            sparsity=config["sparsity"],
            train=partial(context.train, teacher=teacher),
            epochs=config["epochs"],
            learning_rate=context.learning_rate,
        )
        return pruned
