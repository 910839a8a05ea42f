"""Any pipeline of `pruning/`, put together by name on the command line."""

from __future__ import annotations

from torch import nn

from harness.contract import Context, ParameterError
from pruning.choices import Choices
from pruning.pipeline import run


class Entry:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = dict(context.config)
        peak = config.pop("learning_rate_factor") * context.recipe.learning_rate
        try:
            choices = Choices(learning_rate=peak, **config)
        except ValueError as error:
            raise ParameterError(str(error)) from error
        return run(model, choices, context)
