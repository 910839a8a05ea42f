"""The same network in a form that integers can run: fewer kinds of steps, each of which has an integer kernel.

Batch norms are folded into the layers before them, as they must be before weights are rounded
(Jacob et al. 2018, arXiv 1712.05877, section 3.2): between a layer's sum and its rounding nothing
else may be computed. A mean over all pixels becomes one step; padding that is not zeros comes out of its
convolution; a ReLU goes before a pooling that picks the greatest, where it meets the layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from pruning.layers import CONVOLUTIONS, Layer
from pruning.quantise.onnx_operators import onnx_operator
from pruning.quantise.operators import argument, bare_name, role
from pruning.quantise.tracing import layer_at, record_shapes, shape_of
from pruning.shrinking.folding import fold_batch_norm
from pruning.shrinking.surgery import NORMS


def normalise(graph: fx.GraphModule, layers: Mapping[str, int], inputs: torch.Tensor) -> dict[str, str]:
    """Rewrite `graph` in place; it computes the same.

    Args:
        layers: those to quantise, by name; others stay as they are.
        inputs: one batch.

    Returns:
        Batch norm → the layer that it was folded into.
    """
    _drop_identities(graph)
    folded = _fold_batch_norms(graph, layers)
    _pad_outside(graph, layers)
    _global_means(graph)
    _split_silu(graph)
    record_shapes(_clean(graph), inputs)
    while _relu_first(graph):
        record_shapes(_clean(graph), inputs)
    return folded


class GlobalMean(nn.Module):
    """Feature maps `[n, c, h, w]` → their means `[n, c, 1, 1]`, also in one or three dimensions of pixels.

    In ONNX one `GlobalAveragePool`, where torch's mean becomes a reduction without integers.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.onnx.is_in_onnx_export():
            return onnx_operator("GlobalAveragePool", (x,), torch.float32, shape=(*x.shape[:2], *[1] * (x.ndim - 2)))
        return x.mean(tuple(range(2, x.ndim)), keepdim=True)


def calls_of(graph: fx.GraphModule, name: str) -> list[fx.Node]:
    """The nodes that call the module `name`."""
    return [node for node in graph.graph.nodes if node.op == "call_module" and node.target == name]


def only_user(node: fx.Node) -> fx.Node | None:
    """What reads `node`, where that is one alone."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def chosen_layers(graph: fx.GraphModule, layers: Mapping[str, int]) -> Iterator[tuple[fx.Node, Layer]]:
    """Each call of one of `layers`."""
    for node in list(graph.graph.nodes):
        layer = layer_at(graph, node)
        if layer is not None and str(node.target) in layers:
            yield node, layer


def _drop_identities(graph: fx.GraphModule) -> None:
    for node in list(graph.graph.nodes):
        if bare_name(graph, node) == "identity":
            node.replace_all_uses_with(argument(node, 0, "input"))
            graph.graph.erase_node(node)


def _fold_batch_norms(graph: fx.GraphModule, layers: Mapping[str, int]) -> dict[str, str]:
    folded = {}
    for node, layer in chosen_layers(graph, layers):
        name, norm_call = str(node.target), only_user(node)
        if norm_call is None or norm_call.op != "call_module" or norm_call.args != (node,):
            continue
        norm = graph.get_submodule(str(norm_call.target))
        shape = shape_of(node)
        if not isinstance(norm, NORMS) or norm.running_mean is None or shape is None:
            continue
        channels_last = not isinstance(layer, CONVOLUTIONS) and len(shape) != 2  # would be normed along its tokens
        if channels_last or len(calls_of(graph, name)) > 1 or len(calls_of(graph, str(norm_call.target))) > 1:
            continue
        graph.set_submodule(name, fold_batch_norm(layer, norm))
        folded[str(norm_call.target)] = name
        norm_call.replace_all_uses_with(node)
        graph.graph.erase_node(norm_call)
    return folded


def _pad_outside(graph: fx.GraphModule, layers: Mapping[str, int]) -> None:
    """Padding by reflection and its like, or of unequal sides, before the convolution in place of inside it."""
    padded: dict[str, Padding] = {}
    for node, layer in chosen_layers(graph, layers):
        if not isinstance(layer, CONVOLUTIONS):
            continue
        name = str(node.target)
        padding = padded.get(name) or padding_of_its_own(layer)
        if padding is None:
            continue
        padded[name] = padding
        with graph.graph.inserting_before(node):
            pad = graph.graph.call_function(F.pad, (node.args[0], padding.amounts), {"mode": padding.mode})
        node.update_arg(0, pad)
    for name in padded:
        without_padding(graph.get_submodule(name))


@dataclass(frozen=True)
class Padding:
    """What `torch.nn.functional.pad` is to do before a convolution."""

    amounts: tuple[int, ...]
    mode: str


def padding_of_its_own(convolution: Layer) -> Padding | None:
    """The padding that a runtime's convolution of integers has no word for: not of zeros, or of unequal sides."""
    layer: Any = convolution
    amounts = tuple(layer._reversed_padding_repeated_twice)
    if layer.padding_mode == "zeros" and (layer.padding == "valid" or amounts[::2] == amounts[1::2]):
        return None
    return Padding(amounts, "constant" if layer.padding_mode == "zeros" else layer.padding_mode)


def without_padding(convolution: nn.Module) -> None:
    """Have a convolution pad nothing, in place."""
    layer: Any = convolution
    layer.padding_mode, layer.padding = "zeros", (0,) * (layer.weight.ndim - 2)


def _global_means(graph: fx.GraphModule) -> None:
    """Means over all pixels as one step, and what drops their dimensions as another."""
    for node in list(graph.graph.nodes):
        name = bare_name(graph, node)
        values = node.args[0] if node.args else None
        shape = shape_of(values) if isinstance(values, fx.Node) else None
        if shape is None or not 3 <= len(shape) <= 5:
            continue
        pixels = len(shape) - 2
        if name == f"adaptiveavgpool{pixels}d" and _size(graph, node) in (1, (1,) * pixels, [1] * pixels):
            keep = True
        elif name == "mean" and set(node.kwargs) <= {"dim", "keepdim"} and _over_pixels(node, len(shape)):
            keep = bool(argument(node, 2, "keepdim"))
        else:
            continue
        graph.add_submodule("global_mean", GlobalMean())
        with graph.graph.inserting_before(node):
            mean = graph.graph.call_module("global_mean", (values,))
            mean = mean if keep else graph.graph.call_function(torch.flatten, (mean, 1))
        node.replace_all_uses_with(mean)
        graph.graph.erase_node(node)


def _size(graph: fx.GraphModule, node: fx.Node) -> object:
    if node.op == "call_module":
        return graph.get_submodule(str(node.target)).output_size
    return argument(node, 1, "output_size")


def _over_pixels(node: fx.Node, dimensions: int) -> bool:
    dims = argument(node, 1, "dim")
    dims = [dims] if isinstance(dims, int) else dims
    if not isinstance(dims, (list, tuple)) or not all(isinstance(dim, int) for dim in dims):
        return False  # none, or computed in the graph
    return sorted(dim % dimensions for dim in dims) == [*range(2, dimensions)]


def _split_silu(graph: fx.GraphModule) -> None:
    """SiLU as `x · sigmoid(x)`, both of which have integer kernels."""
    for node in list(graph.graph.nodes):
        if bare_name(graph, node) == "silu" and isinstance(node.args[0], fx.Node):
            with graph.graph.inserting_before(node):
                gate = graph.graph.call_function(torch.sigmoid, (node.args[0],))
                product = graph.graph.call_function(torch.mul, (node.args[0], gate))
            node.replace_all_uses_with(product)
            graph.graph.erase_node(node)


def _relu_first(graph: fx.GraphModule) -> bool:
    """Move an activation before a step that only moves or picks values; whether there was one to move."""
    for node in graph.graph.nodes:
        before = node.args[0] if node.args else None
        if role(graph, node) != "activation" or not isinstance(before, fx.Node):
            continue
        values = before.args[0] if before.args else None
        alone = role(graph, before) == "same" and len(before.users) == 1
        if not alone or not isinstance(values, fx.Node) or shape_of(values) is None:
            continue
        node.replace_all_uses_with(before)
        node.update_arg(0, values)
        before.prepend(node)
        before.update_arg(0, node)
        return True
    return False


def _clean(graph: fx.GraphModule) -> fx.GraphModule:
    graph.graph.lint()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph
