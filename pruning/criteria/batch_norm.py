"""Channels that batch norm scales to almost nothing matter least: network slimming.

Liu et al. 2017, arXiv 1708.06519. The scale γ of the batch norm behind a convolution multiplies a
whole channel, so |γ| is the channel's score at no cost. It tells most where training has driven
scales to zero (an L1 penalty on γ); the paper sets one threshold over all layers, which is
`Filter` with the `Global` ratio here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import fx, nn

from pruning.criteria.batches import Batches, read
from pruning.criteria.behind import BATCH_NORMS, behind
from pruning.criteria.layout import Unit, for_outputs, layer_name, layer_of


@dataclass(frozen=True)
class BatchNormScale:
    """|γ| of the batch norm that alone reads a layer's output, as `[c_o, 1, …]`.

    With data, one batch shows which batch norm that is (see `behind`). Without, the model is traced
    symbolically by torch.fx, which most convolutional networks allow.

    Attributes:
        p: inf, so that a filter's score is its |γ| whatever its size.

    Raises:
        ValueError: a layer has no such batch norm, or the batch norm no scale (the message names the
            layer); there is no data, and the model cannot be traced.
    """

    p: float = float("inf")
    unit: ClassVar[Unit] = "filter"
    needs_data: ClassVar[bool] = False

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        layers = {name: layer_of(model, name) for name in names}
        if data is None:
            norms = _traced(model)
            norm_of = {name: norms.get(layer_name(name)) for name in names}
        else:
            inputs, _ = next(read(data, model, type(self).__name__, 1))
            norm_of = {name: found.norm for name, found in behind(model, names, inputs[:2]).items()}
        return {name: for_outputs(_scale(model, name, norm_of[name]), layer) for name, layer in layers.items()}


def _scale(model: nn.Module, name: str, norm: str | None) -> torch.Tensor:
    if norm is None:
        raise ValueError(
            f"No batch norm reads the output of {layer_name(name)} alone, so there is no scale to judge it by. "
            "Leave it out: name the others in layers=."
        )
    scale = model.get_submodule(norm).weight
    if not isinstance(scale, torch.Tensor):
        raise ValueError(f"The batch norm {norm} behind {layer_name(name)} has no scale (affine=False).")
    return scale.detach().abs()


def _traced(model: nn.Module) -> dict[str, str]:
    """Layer name → name of the batch norm that alone reads it, by the data flow that torch.fx finds."""
    try:
        nodes = fx.Tracer().trace(model).nodes
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:
        raise ValueError(
            f"Without data, the model could not be traced to find its batch norms ({error}). "
            "Give BatchNormScale one batch as data=."
        ) from error
    modules = dict(model.named_modules())
    found: dict[str, set[str | None]] = {}
    for node in nodes:
        if node.op == "call_module":
            readers = [str(user.target) if user.op == "call_module" else "" for user in node.users]
            norm = readers[0] if len(readers) == 1 and isinstance(modules.get(readers[0]), BATCH_NORMS) else None
            found.setdefault(str(node.target), set()).add(norm)
    sure = {layer: next(iter(ways)) for layer, ways in found.items() if len(ways) == 1}
    served = Counter(sure.values())  # a batch norm of several layers tells of none
    return {layer: norm for layer, norm in sure.items() if norm is not None and served[norm] == 1}
