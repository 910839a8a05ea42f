"""The reference as it is: what every submission is compared with, and a check of the measuring itself."""

from __future__ import annotations

from torch import nn

from harness.contract import Context


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        return model
