"""Activations that the network can do without go, and their layers merge (Dror et al. 2021, arXiv 2106.09309)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context, ParameterError
from pruning import Regularised, fold, linearise, weight_layers, with_prelu
from pruning.shrinking.folding import linearity_penalty


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        try:
            softened = with_prelu(model)  # a PReLU of slope 0 in place of each ReLU: the same network
        except ValueError as error:
            raise ParameterError(f"{error} Tasks where it works: digits_mlp, mnist_lenet300.") from error
        if len(weight_layers(fold(linearise(softened, tolerance=1.0)))) == len(weight_layers(model)):
            raise ParameterError(
                "Even without any activation no two layers of this network could merge: see "
                "pruning/shrinking/folding.py. Tasks where it works: digits_mlp, mnist_lenet300."
            )
        count = sum(isinstance(module, nn.PReLU) for module in softened.modules())
        if not 1 <= config["activations"] <= count:
            raise ParameterError(f"activations must be 1 to {count}: the network has no more.")
        loss = Regularised(linearity_penalty, config["strength"])
        softened = context.train(
            softened, epochs=config["epochs_folding"], learning_rate=context.learning_rate, loss=loss
        )
        # The activations whose slopes came nearest to 1 become the identity.
        slopes = [module.weight.detach() for module in softened.modules() if isinstance(module, nn.PReLU)]
        nearest = sorted(float((1 - slope).abs().max()) for slope in slopes)
        folded = fold(linearise(softened, tolerance=nearest[config["activations"] - 1]))
        return context.train(folded, epochs=config["epochs"], learning_rate=context.learning_rate)
