"""Channels that are mostly zero behind their ReLU matter least: the average percentage of zeros.

Hu et al. 2016, "Network Trimming", arXiv 1607.03250. APoZ is the share of zeros among all values
of a channel's activation, over samples and positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn

from pruning.criteria.batches import Batches, evaluating, hooked, read
from pruning.criteria.behind import behind
from pruning.criteria.layout import by_unit, for_outputs, layer_name, layer_of


@dataclass(frozen=True)
class APoZ:
    """1 - APoZ of each output unit, as `[c_o, 1, …]`, in 0…1; needs data.

    The ReLU may be a module or a function, behind the layer or behind its batch norm; `behind` finds
    it. Its zeros are counted where it reads: it gives zero for whatever is not above zero.

    Attributes:
        max_batches: look at no more than these.
        p: inf, so that a filter's score is 1 - APoZ whatever its size.

    Raises:
        ValueError: there is no data; no ReLU comes right behind a layer (the message names it).
    """

    max_batches: int | None = None
    p: float = float("inf")

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        batches = read(data, model, type(self).__name__, self.max_batches)
        layers = {name: layer_of(model, name) for name in names}
        first = next(batches)
        found = behind(model, names, first[0][:2])
        for name in names:
            if not found[name].rectified:
                raise ValueError(
                    f"No ReLU comes right behind {layer_name(name)} (or its batch norm) as the one reader of its "
                    "output, so it has no zeros to count. Leave it out: name the others in layers=."
                )
        judged = {model.get_submodule(found[name].norm or layer_name(name)): name for name in names}
        active = {name: torch.zeros(layers[name].weight.shape[0], dtype=torch.int64) for name in names}
        values = dict.fromkeys(names, 0)

        def count(module: nn.Module, _: Any, output: torch.Tensor) -> None:
            name = judged[module]
            of_unit = by_unit(layers[name], output)
            active[name] += (of_unit > 0).sum(1).cpu()
            values[name] += of_unit.shape[1]

        with evaluating(model), torch.no_grad(), hooked(judged, count):
            for inputs, _ in chain([first], batches):
                model(inputs)
        return {name: for_outputs(active[name].double() / values[name], layers[name]) for name in names}
