"""Connections that the loss hardly feels are cut before training: SNIP.

Lee et al. 2019, arXiv 1810.02340. Give each weight a gate c, which is 1: the loss sees c·w. The
connection sensitivity |∂L/∂c| at c = 1 is |g·w|, over the sum of all. `Taylor` computes the same
product; what makes SNIP is when and how: once, on a newly initialised network, on one batch, and as
shares of all weights judged, so that one `Global` threshold compares layers. (At the end of training
gradients vanish; at its beginning they tell which weights training will use.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from pruning.criteria.batches import Batches, read
from pruning.criteria.gradients import Loss, mean_gradients
from pruning.criteria.layout import Unit


@dataclass(frozen=True)
class Snip:
    """Connection sensitivity, in shares that sum to 1 over all weights judged; needs data.

    The model runs in inference mode, with batch norm's stored statistics: in a new network those are
    mean 0 and variance 1. At initialisation one trains with the batch's own; to have these, run a few
    batches through the model in training mode before.

    Attributes:
        loss: `(outputs, labels) → scalar`, a mean over samples.
        max_batches: how many of the data's batches make the one gradient; the paper takes one.

    Raises:
        ValueError: there is no data, or no weight has any effect on the loss.
    """

    loss: Loss = field(default=F.cross_entropy, repr=False)
    max_batches: int | None = 1
    p: float = 1.0
    unit: ClassVar[Unit] = "weight"

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        batches = read(data, model, type(self).__name__, self.max_batches)
        gradients = mean_gradients(model, names, batches, self.loss)
        sensitivity = {
            name: (g * model.get_parameter(name).detach()).abs().cpu().double() for name, g in gradients.items()
        }
        total = sum(float(of_layer.sum()) for of_layer in sensitivity.values())
        if total == 0:
            raise ValueError(
                "No weight has any effect on the loss to first order: all gradients times weights are zero. "
                "Is the network cut through, or a layer initialised to zero?"
            )
        return {name: of_layer / total for name, of_layer in sensitivity.items()}
