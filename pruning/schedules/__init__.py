"""In how many steps weights are pruned, and when: one file a schedule.

A schedule takes the choice of weights and the training loop as plain callables:
`mask_at(model, sparsity, within)`, usually a few lines around `pruning.masking.make_mask`, and
`train(model, *, epochs, learning_rate, mask)`. It returns the model and its last mask.

`gradual` and `rigl` change the mask within one training, by a dynamic mask
(`pruning.recovery.fine_tuning.MovingMask`). `dead_neurons` cleans a mask that any of them gave.
"""

from __future__ import annotations

from collections.abc import Mapping

from pruning.schedules.gradual_pruning import GRADUAL, gradual
from pruning.schedules.iterative_pruning import ITERATIVE, iterative
from pruning.schedules.lottery_tickets import LOTTERY, lottery
from pruning.schedules.one_shot_pruning import ONE_SHOT, one_shot
from pruning.schedules.schedule import Schedule
from pruning.schedules.sparse_training import RIGL, rigl

__all__ = ["SCHEDULES", "Schedule", "gradual", "iterative", "lottery", "one_shot", "rigl"]

SCHEDULES: Mapping[str, Schedule] = {
    "one_shot": ONE_SHOT,
    "iterative": ITERATIVE,
    "gradual": GRADUAL,
    "lottery": LOTTERY,
    "rigl": RIGL,
}
