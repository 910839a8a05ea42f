"""A network made ready for integers: batch norms folded, every value that is to be rounded watched, ranges seen.

Where the network can be followed (`tracing`), rounding goes to the edges between its layers. Inside
modules that cannot, each layer rounds its own input, and a convolution its output: the layers are
integers there too, and what stands between them stays in floats.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import fx, nn
from torch.nn.modules.conv import _ConvTransposeNd

from pruning.criteria.batches import Batches, device_of
from pruning.layers import LAYERS
from pruning.observing import inference
from pruning.quantise.normalise import chosen_layers, normalise
from pruning.quantise.operators import bare_name
from pruning.quantise.placing import input_quantiser, watch_layer, watch_values
from pruning.quantise.ranges import Calibration, Range, Watch, calibrate, pairs
from pruning.quantise.tracing import CannotFollowError, follow, is_plain, odd_layers, require_same

PRODUCTS = frozenset(
    "conv1d conv2d conv3d convtranspose1d convtranspose2d convtranspose3d "
    "linear matmul mm bmm addmm baddbmm einsum bilinear".split()
)
WITHOUT_INTEGERS = (nn.RNNBase, nn.RNNCellBase, nn.Bilinear, _ConvTransposeNd)  # layers with weights
FOLDED = "folded_batch_norms"  # in the meta of a graph


@dataclass(frozen=True)
class Network:
    """A copy of a model, ready to have its watches replaced by what rounds.

    Attributes:
        model: with a `Watch` in each place.
        ranges: name of each watch → what passed it.
        layers: those that will be integers, with their bits.
        floats: layer → why it stays in floats.
    """

    model: nn.Module
    ranges: Mapping[str, Range]
    layers: Mapping[str, int]
    floats: Mapping[str, str] = field(default_factory=dict)


def calibrated(model: nn.Module, layers: Mapping[str, int], data: Batches, calibration: Calibration) -> Network:
    """Fold, place and calibrate; `model` itself stays as it is.

    What cannot be integers is told by a warning.

    Args:
        layers: those to quantise and their bits.
        data: batches of `(inputs, labels)`; the first also shows the shapes.

    Raises:
        ValueError: there is no batch in `data`, or a range is not finite.
    """
    batches = pairs(data)
    first = next(batches, None)
    if first is None:
        raise ValueError("Calibration needs at least one batch of (inputs, labels); the data has none.")
    inputs = first[0].to(device_of(model))
    try:
        with inference(model):
            model(inputs)
    except RuntimeError as error:
        raise ValueError(f"The model does not take calibration inputs of {_kind_of(inputs)}: {error}") from error
    watched, floats = _watched(model, layers, inputs)
    ranges = calibrate(watched, chain([first], batches), calibration)
    for name, watch in list(watched.named_modules()):
        if isinstance(watch, Watch) and name not in ranges:
            watched.set_submodule(name, nn.Identity())
    here = dict(watched.named_modules())
    for name in layers:
        if name not in floats and not (name in here and isinstance(input_quantiser(watched, name), Watch)):
            floats[name] = "the model does not call it"
    _tell(floats | weights_elsewhere(watched))
    watched.training = model.training
    return Network(watched, ranges, {name: bits for name, bits in layers.items() if name not in floats}, floats)


def folded_batch_norms(model: nn.Module) -> Mapping[str, str]:
    """Batch norm → the layer that it was folded into, of a network that was made ready."""
    folded: Mapping[str, str] = model.meta.get(FOLDED, {}) if isinstance(model, fx.GraphModule) else {}
    return folded


def weights_elsewhere(model: nn.Module) -> dict[str, str]:
    """Weights that multiply, but are no convolution's or linear layer's: module or parameter → what they are in."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, WITHOUT_INTEGERS):
            found[name] = f"no integers for {type(module).__name__}"
        elif isinstance(module, nn.MultiheadAttention):
            found[name] = "its input projections are inside MultiheadAttention"
    if isinstance(model, fx.GraphModule):
        stored: dict[fx.Node, set[str]] = {}  # a value that was computed from stored ones alone → their names
        for node in model.graph.nodes:
            inputs = node.all_input_nodes
            if node.op == "get_attr":
                stored[node] = {str(node.target)}
            elif bare_name(model, node) in PRODUCTS and node.op != "call_module":
                names = sorted(set().union(*(stored.get(each, set()) for each in inputs)))
                found |= dict.fromkeys(names, "a function multiplies by it, and no layer")
            elif inputs and node.op in ("call_function", "call_method") and all(each in stored for each in inputs):
                stored[node] = set().union(*(stored[each] for each in inputs))
    return found


def _watched(model: nn.Module, layers: Mapping[str, int], inputs: torch.Tensor) -> tuple[nn.Module, dict[str, str]]:
    """A copy with its watches in place, and layer → why it will stay in floats."""
    watched: nn.Module
    if isinstance(model, LAYERS):
        watched = copy.deepcopy(model)
        watch_layer(watched, "")
        return watched, {}
    try:
        watched, floats = _as_graph(model, layers, inputs)
    except CannotFollowError as error:
        warnings.warn(
            f"Each layer is rounded by itself, and no batch norm is folded: {error}. "
            "Products with weights of no layer stay in floats.",
            stacklevel=5,
        )
        watched, floats = copy.deepcopy(model), {}
    for name in _called_elsewhere(watched, layers):
        layer = watched.get_submodule(name)
        if is_plain(layer):
            watch_layer(layer, name)
        else:
            floats[name] = "its class changes what a layer computes"
    return watched, floats


def _as_graph(
    model: nn.Module, layers: Mapping[str, int], inputs: torch.Tensor
) -> tuple[fx.GraphModule, dict[str, str]]:
    graph = follow(model, inputs)
    odd = odd_layers(graph, inputs)
    chosen = {name: bits for name, bits in layers.items() if name not in odd}
    folded = normalise(graph, chosen, inputs)
    watch_values(graph, chosen)
    require_same(graph, model, inputs)
    graph.meta[FOLDED] = folded
    return graph, {name: "its class changes what a layer computes" for name in odd if name in layers}


def _kind_of(inputs: torch.Tensor) -> str:
    return f"shape {list(inputs.shape)} and type {str(inputs.dtype).removeprefix('torch.')}"


def _called_elsewhere(model: nn.Module, layers: Mapping[str, int]) -> Iterator[str]:
    """Those of `layers` that no node of the graph calls, though they are there; of a model that is no graph all."""
    called = {str(node.target) for node, _ in chosen_layers(model, layers)} if isinstance(model, fx.GraphModule) else ()
    present = {name for name, module in model.named_modules() if isinstance(module, LAYERS)}
    return (name for name in layers if name in present and name not in called)


def _tell(floats: Mapping[str, str]) -> None:
    if floats:
        which = "; ".join(f"{name} ({why})" for name, why in floats.items())
        warnings.warn(f"These layers stay in floats: {which}.", stacklevel=5)
