"""Any pipeline of `pruning/`, put together by name on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from harness.contract import Context, ParameterError
from pruning import Choices
from pruning.pipeline import run


class Submission:
    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse choices that make no sense together, before data are loaded."""
        _choices(config, 1.0)

    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        choices = _choices(context.config, context.learning_rate)
        try:
            return run(model, choices, context)
        except ValueError as error:
            if context.budget.samples_trained:
                raise
            raise ParameterError(str(error)) from error  # before any work: choices that this network does not take


def _choices(config: Mapping[str, Any], learning_rate: float) -> Choices:
    chosen = dict(config)
    del chosen["learning_rate_factor"]  # `learning_rate` has it
    try:
        return Choices(learning_rate=learning_rate, **chosen)
    except ValueError as error:
        raise ParameterError(str(error)) from error
