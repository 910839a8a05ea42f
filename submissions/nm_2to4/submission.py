"""Of every four neighbouring inputs two weights are kept: 2:4 sparsity (Mishra et al. 2021, arXiv 2104.08378)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context, ParameterError
from pruning import NM, fine_tune, fitting_layers, make_mask


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        n, m = config["n"], config["m"]
        # Layers whose inputs do not come in runs of m stay dense: mostly the first one, of 3 input channels.
        layers, _ = fitting_layers(model, NM(n, m))
        if not layers:
            raise ParameterError(f"No layer's number of inputs is a multiple of {m}. Try another m, such as 4.")
        mask = make_mask(model, criterion="magnitude", granularity=NM(n, m), layers=layers)
        return fine_tune(model, mask, train=context.train, epochs=config["epochs"], learning_rate=context.learning_rate)
