"""Input channels whose removal changes a layer's output least matter least.

After ThiNet: Luo, Wu & Lin 2017, arXiv 1707.06342. Whether a channel can go is asked of the next layer,
the one that reads it: the change of its output, squared and summed over sampled positions. A channel
of large weights may change nothing, if its input is always small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from pruning.criteria.batches import Batches, read
from pruning.criteria.contributions import check_positions, overlaps
from pruning.criteria.layout import Unit, for_inputs, layer_of


@dataclass(frozen=True)
class FeatureMap:
    """The least change of the layer's output, as `[1, c_i, 1, …]`: for the granularity of input channels.

    The paper samples single values of the output; here a sampled position counts with all its output
    channels. Scores are comparable within a layer only (`Uniform`).

    Attributes:
        greedy: False scores a channel by the change when it alone goes, its energy. True scores it by
            its place, in 0…1, in the paper's greedy order: at each step goes the channel that makes
            the change of all gone together smallest, so that channels that cancel go together.
        positions: output positions to sample, on average for each sample; None for all.
        seed: of the sampling.
        max_batches: look at no more than these.
        p: inf, so that a channel's score is its own whatever its size.

    Raises:
        ValueError: there is no data; a layer is a grouped convolution, or the data do not pass it.
    """

    greedy: bool = False
    positions: int | None = 10
    seed: int = 0
    max_batches: int | None = None
    p: float = float("inf")
    unit: ClassVar[Unit] = "channel"
    comparable_across_layers: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positions(self.positions, type(self).__name__)

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        who = type(self).__name__
        batches = read(data, model, who, self.max_batches)
        found = overlaps(model, names, batches, reader=who, positions=self.positions, seed=self.seed)
        of_channels = {name: _order(overlap) if self.greedy else overlap.diagonal() for name, overlap in found.items()}
        return {name: for_inputs(scores, layer_of(model, name)) for name, scores in of_channels.items()}


def _order(overlap: torch.Tensor) -> torch.Tensor:
    """Each channel's place in the greedy order of removal: 1/c_i for the first, 1 for the last."""
    channels = len(overlap)
    places = torch.zeros(channels, dtype=torch.float64)
    with_gone = torch.zeros(channels, dtype=torch.float64)  # overlap of each channel with all that are gone
    for place in range(1, channels + 1):
        # |gone + c|² = |gone|² + 2·⟨gone, c⟩ + |c|², and the first term is the same for all.
        rise = (2 * with_gone + overlap.diagonal()).masked_fill(places > 0, torch.inf)
        next_gone = int(rise.argmin())
        places[next_gone] = place / channels
        with_gone += overlap[next_gone]
    return places
