"""In how many steps the weights fall: one file a schedule.

A schedule takes the choice of weights and the training loop as plain callables:
`mask_at(model, sparsity, within)`, usually a few lines around `pruning.masking.make_mask`, and
`train(model, *, epochs, learning_rate, mask)`. It returns the model and its last mask.

`gradual` and `rigl` change the mask within one training, by a moving mask
(`pruning.recovery.fine_tuning.MovingMask`). `dead_neurons` cleans a mask that any of them gave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from pruning.mask import Mask
from pruning.schedules.gradual import gradual
from pruning.schedules.iterative import iterative
from pruning.schedules.lottery import lottery
from pruning.schedules.one_shot import one_shot
from pruning.schedules.rigl import rigl

__all__ = ["SCHEDULES", "gradual", "iterative", "lottery", "one_shot", "rigl"]

SCHEDULES: Mapping[str, Callable[..., tuple[nn.Module, Mask]]] = {
    "one_shot": one_shot,
    "iterative": iterative,
    "gradual": gradual,
    "lottery": lottery,
    "rigl": rigl,
}
