"""A unit that nothing feeds, or that feeds nothing, can go whole (Han et al. 2015, arXiv 1506.02626, section 3.5).

Removing single weights leaves units all of whose inputs, or all of whose outputs, are gone. What is
left of their weights changes nothing:

- No outputs: whatever the unit computes, nobody reads it. Its inputs, bias and batch norm go.
- No inputs, and a bias (or batch norm) that is zero or removed: it gives zero. Its outputs go.
- No inputs, and a bias that is not zero: it gives a constant, which its readers use. It stays.

Weights that go may leave other units dead, so it goes on until none is. The paper leaves it to
retraining, where regularisation takes such weights to zero; here it is done at once, and exactly.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import nn

from pruning.layers import parameter_name, weight_layers
from pruning.mask import Mask
from pruning.shrinking.stream import Stream
from pruning.shrinking.trace import Trace

# Parameter name → indices along one of its dimensions, and the unit that each belongs to, int64 `[n]` both.
Attached = dict[str, tuple[torch.Tensor, torch.Tensor]]


def remove_dead_neurons(model: nn.Module, mask: Mask, example_inputs: torch.Tensor) -> Mask:
    """`mask`, without what is left of the weights of dead units.

    Only layers whose units can be told apart up to the layers that read them take part. Units that
    reach the model's output, are joined with those of another layer (residual sums), pass an
    operator that mixes channels, or share their weights with another layer are left alone.

    Args:
        example_inputs: one batch, as the model takes it, to trace the model with.

    Returns:
        A mask with which `model` computes what it does with `mask`. Biases and batch norms of dead
        units are in it even where `mask` does not name them.

    Raises:
        ValueError: the mask does not fit the model, or the model does not run on the inputs.
    """
    mask.check(model)
    parameters = dict(model.named_parameters())
    keep = {
        name: mask[name] if name in mask else torch.ones(p.shape, dtype=torch.bool) for name, p in parameters.items()
    }
    nonzero = {name: (parameter != 0).cpu() for name, parameter in parameters.items()}
    layers = _layers(model, example_inputs)
    before, now = -1, _count(keep)
    while now != before:
        for layer in layers:
            _remove(layer, _dead(layer, keep, nonzero), keep)
        before, now = now, _count(keep)
    return Mask({name: each for name, each in keep.items() if name in mask or not each.all()})


@dataclass(frozen=True)
class _Layer:
    """Parameter names of a layer, of what is applied to its units, and of the layers that read them."""

    weight: str
    width: int
    own: Attached
    readers: Attached


def _layers(model: nn.Module, example_inputs: torch.Tensor) -> list[_Layer]:
    trace = Trace(model, example_inputs)
    uses = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    single = {name for name, p in model.named_parameters() if uses[id(p)] == 1}
    layers = []
    for name, module in weight_layers(model).items():
        stream = trace.stream(name)
        if stream.obstacle is None and stream.producers == [name]:
            own, readers = _attached(model, stream, len(module.weight))
            layer = _Layer(parameter_name(name), len(module.weight), own, readers)
            if single.issuperset({layer.weight, *own, *readers}):
                layers.append(layer)
    return layers


def _attached(model: nn.Module, stream: Stream, width: int) -> tuple[Attached, Attached]:
    """What belongs to which unit of a stream's one producer.

    Returns:
        Biases, batch norms and depthwise filters, by their first dimension (a PReLU gives zero for
        zero, whatever its slope); and the weights of the readers, by their second.
    """

    def of_units(columns: int) -> tuple[torch.Tensor, torch.Tensor]:
        index = torch.arange(width * columns)
        return index, index // columns

    own: Attached = {}
    for name, columns in ({stream.producers[0]: 1} | stream.followers).items():
        module = model.get_submodule(name)
        for parameter, _ in module.named_parameters(recurse=False) if not isinstance(module, nn.PReLU) else ():
            if parameter == "bias" or name in stream.followers:
                own[parameter_name(name, parameter)] = of_units(columns)
    return own, {parameter_name(name): of_units(columns) for name, columns in stream.readers.items()}


def _dead(layer: _Layer, keep: dict[str, torch.Tensor], nonzero: dict[str, torch.Tensor]) -> torch.Tensor:
    """Which units of `layer` are dead, bool `[width]`."""
    fed = keep[layer.weight].flatten(1).any(1)
    for name, (index, unit) in layer.own.items():
        if keep[name].ndim == 1:  # a bias, or a batch norm's scale or shift; a depthwise filter gives zero for zero
            fed[unit[(keep[name] & nonzero[name])[index]]] = True
    read = torch.zeros(layer.width, dtype=torch.bool)
    for name, (index, unit) in layer.readers.items():
        read[unit[keep[name].transpose(0, 1).flatten(1).any(1)[index]]] = True
    return ~(fed & read)


def _remove(layer: _Layer, dead: torch.Tensor, keep: dict[str, torch.Tensor]) -> None:
    keep[layer.weight][dead] = False
    for name, (index, unit) in layer.own.items():
        keep[name][index[dead[unit]]] = False
    for name, (index, unit) in layer.readers.items():
        keep[name][:, index[dead[unit]]] = False


def _count(keep: dict[str, torch.Tensor]) -> int:
    return sum(int(each.sum()) for each in keep.values())
