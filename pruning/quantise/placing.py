"""Where values are rounded: which tensors between the layers lie on a grid, and which share one.

Rounded is what a layer reads, what a convolution gives, since integer convolutions give integers,
and what a linear layer gives behind an activation, with which ONNX Runtime joins it to one operator;
and, going back from there, all that is joined or moved on the way, so that sums, poolings and
concatenations are of integers too. A value is rounded behind its activation. What nothing but float
operators read stays as it is: the last layer's output, or a transformer's residual stream.

Two values share a grid where one is the other, moved; and where one layer reads both, as its bias
is an integer on the product of its input's scale and its weight's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import fx, nn
from torch.nn import functional

from pruning.layers import CONVOLUTIONS
from pruning.quantise.normalise import (
    Padding,
    calls_of,
    chosen_layers,
    only_user,
    padding_of_its_own,
    without_padding,
)
from pruning.quantise.operators import role
from pruning.quantise.ranges import Watch
from pruning.quantise.tracing import is_several, layer_at, shape_of

MOVED = "grid"  # in the meta of a node that hands on a grid: the name of its quantiser
NO_STEP = frozenset({"dropout", "identity", "contiguous", "clone"})  # same values at the same places


def watch_values(graph: fx.GraphModule, layers: Mapping[str, int]) -> None:
    """Put a `Watch` behind each value of `graph` that is to be rounded, in place; one for those that share a grid."""
    rounded = _rounded(graph, layers)
    grids = _grids(graph, layers, rounded)
    taken = set(graph._modules)
    grids = {value: f"{name}_again" if name in taken else name for value, name in grids.items()}
    for value in list(graph.graph.nodes):
        if value not in rounded:
            continue
        name = grids[value]
        if role(graph, value) == "same":
            value.meta[MOVED] = name
            continue
        if name not in graph._modules:
            graph.add_submodule(name, Watch(_described(graph, value, layers)))
        readers = [user for user in value.users if _reads_rounded(graph, user, value, layers, rounded)]
        with graph.graph.inserting_after(value):
            call = graph.graph.call_module(name, (value,))
        call.meta["shape"] = shape_of(value)
        for reader in readers:
            reader.replace_input_with(value, call)
    graph.graph.lint()
    graph.recompile()


def watch_layer(layer: nn.Module, name: str) -> None:
    """The same for a layer inside a module that is no graph: behind its input, and behind what a convolution gives."""
    if isinstance(layer, CONVOLUTIONS) and (padding := padding_of_its_own(layer)) is not None:
        without_padding(layer)
        layer.register_forward_pre_hook(partial(_pad, padding))
    put_before(layer, Watch(f"inputs of layer {name}"))
    if isinstance(layer, CONVOLUTIONS):
        layer.output_quantiser = Watch(f"outputs of layer {name}")
        layer.register_forward_hook(_out_through)


def put_before(layer: nn.Module, quantiser: nn.Module) -> None:
    """Have `layer` read its input through `quantiser`, its new child."""
    layer.input_quantiser = quantiser
    layer.register_forward_pre_hook(_in_through)


def input_quantiser(model: nn.Module, name: str) -> nn.Module | None:
    """What rounds the input of layer `name`; None where nothing does."""
    inside = getattr(model.get_submodule(name), "input_quantiser", None)
    if isinstance(inside, nn.Module):
        return inside
    read = _input_of(model, name)
    return None if read is None else _quantiser_of(model, read)


def _input_of(model: nn.Module, name: str) -> fx.Node | None:
    """The value that a layer of a graph reads."""
    calls = calls_of(model, name) if isinstance(model, fx.GraphModule) else []
    return calls[0].args[0] if calls else None  # type: ignore[return-value]


def _quantiser_of(graph: nn.Module, value: fx.Node) -> nn.Module | None:
    if MOVED in value.meta:
        return graph.get_submodule(value.meta[MOVED])
    module = graph.get_submodule(str(value.target)) if value.op == "call_module" else None
    inside = getattr(module, "quantiser", None)  # of what rounds and pads at once
    return inside if isinstance(inside, nn.Module) else module


def _in_through(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    quantiser = layer.input_quantiser
    assert isinstance(quantiser, nn.Module)
    return (quantiser(inputs[0]), *inputs[1:])


def _pad(padding: Padding, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (functional.pad(inputs[0], padding.amounts, padding.mode), *inputs[1:])


def _out_through(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    quantiser = layer.output_quantiser
    assert isinstance(quantiser, nn.Module)
    found: torch.Tensor = quantiser(output)
    return found


def _rounded(graph: fx.GraphModule, layers: Mapping[str, int]) -> set[fx.Node]:
    """The values that lie on a grid, moved ones too."""
    pending: list[fx.Node] = []
    for node, layer in chosen_layers(graph, layers):
        inputs = node.args[0]
        assert isinstance(inputs, fx.Node)
        pending.append(inputs)
        behind = _behind_activation(graph, node)
        if behind is not node or isinstance(layer, CONVOLUTIONS):
            pending.append(behind)
    rounded: set[fx.Node] = set()
    while pending:
        value = pending.pop()
        if value in rounded:
            continue
        rounded.add(value)
        maker = _maker(graph, value)
        if role(graph, maker) in ("same", "joined"):
            pending += [each for each in maker.all_input_nodes if _is_values(each)]
    return rounded


def _behind_activation(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    """The activation that alone reads `node`, or `node` itself: where its values are rounded."""
    user = only_user(node)
    return user if user is not None and role(graph, user) == "activation" else node


def _maker(graph: fx.GraphModule, value: fx.Node) -> fx.Node:
    """The step whose result is `value`, behind its activation or not."""
    before = value.args[0] if value.args else None
    if role(graph, value) == "activation" and isinstance(before, fx.Node) and only_user(before) is value:
        return before
    return value


def _is_values(node: fx.Node) -> bool:
    return shape_of(node) is not None or is_several(node)


def _grids(graph: fx.GraphModule, layers: Mapping[str, int], rounded: set[fx.Node]) -> dict[fx.Node, str]:
    """Value → the name of its grid."""
    parent = {value: value for value in rounded}

    def root(value: fx.Node) -> fx.Node:
        while parent[value] is not value:
            value = parent[value]
        return value

    for value in graph.graph.nodes:
        if value in rounded and role(graph, value) == "same":
            for source in value.all_input_nodes:
                if source in rounded:
                    parent[root(value)] = root(source)
    read: dict[str, fx.Node] = {}
    for node, _ in chosen_layers(graph, layers):
        inputs = node.args[0]
        assert isinstance(inputs, fx.Node)
        other = read.setdefault(str(node.target), inputs)
        if other is not inputs:
            parent[root(inputs)] = root(other)
    return {value: f"{root(value).name}_quantiser" for value in rounded}


def _reads_rounded(
    graph: fx.GraphModule, user: fx.Node, value: fx.Node, layers: Mapping[str, int], rounded: set[fx.Node]
) -> bool:
    """Whether `user` reads `value` as rounded: if it computes in integers, or what makes it does.

    ONNX Runtime makes no integer operator of a step whose result is read both rounded and as it is.
    """
    maker = _maker(graph, value)
    if role(graph, maker) == "joined" or (layer_at(graph, maker) is not None and str(maker.target) in layers):
        return True
    if layer_at(graph, user) is not None:
        return str(user.target) in layers
    behind = _behind_activation(graph, user)
    return (user in rounded or behind in rounded) and role(graph, user) in ("same", "joined")


def _described(graph: fx.GraphModule, value: fx.Node, layers: Mapping[str, int]) -> str:
    maker = _maker(graph, value)
    if layer_at(graph, maker) is not None:
        return f"outputs of layer {maker.target}"
    readers = [str(user.target) for user in value.users if layer_at(graph, user) is not None]
    return f"inputs of layer {readers[0]}" if readers else f"values of {value.name}"
