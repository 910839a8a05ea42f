"""Weights and activations become 8-bit integers, without training (Jacob et al. 2018, arXiv 1712.05877)."""

from __future__ import annotations

from itertools import islice

from torch import nn

from harness.contract import Context
from pruning import MinMax, Percentile, to_dynamic_int8, to_int8


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        if config["activations"] == "dynamic":
            return to_dynamic_int8(model, config["bits"], per_channel=config["per_channel"])
        calibration = MinMax() if config["percentile"] == 100 else Percentile(config["percentile"])
        data = list(islice(context.data.train, config["batches"])) if config["activations"] == "static" else None
        return to_int8(model, config["bits"], per_channel=config["per_channel"], data=data, calibration=calibration)
