"""How the accuracy comes back after weights are removed: one file a way.

A recovery takes a model, its mask and the training loop as a plain callable. What shapes the loss
while it trains (`regularise`) goes to that callable instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from pruning.recovery.distillation import distil
from pruning.recovery.fine_tuning import fine_tune
from pruning.recovery.regularise import PENALTIES, Regularised

__all__ = ["PENALTIES", "RECOVERIES", "Regularised", "distil", "fine_tune"]

RECOVERIES: Mapping[str, Callable[..., nn.Module]] = {"fine_tune": fine_tune, "distil": distil}
