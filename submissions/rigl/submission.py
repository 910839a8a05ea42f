"""A network trained sparse from the start, whose connections move (RigL: Evci et al. 2020, arXiv 1911.11134)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context, ParameterError
from pruning import Mask, Random, make_mask, rigl, weight_names
from pruning.ratios.erk import erk


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        if config["epochs"] < 1:
            raise ParameterError("RigL trains a new network: epochs must be 1 or more.")
        fresh = context.fresh_model(context.seed)
        shapes = {name: fresh.get_parameter(name).shape for name in weight_names(fresh)}

        def mask_at(model: nn.Module, sparsity: float, within: Mask | None) -> Mask:
            return make_mask(
                model, criterion=Random(context.seed), granularity="element", ratio=erk(shapes, sparsity), within=within
            )

        trained, _ = rigl(
            fresh,
            mask_at,
            sparsity=config["sparsity"],
            train=context.train,
            epochs=config["epochs"],
            learning_rate=context.learning_rate,
            every=config["every"],
            fraction=config["fraction"],
        )
        return trained
