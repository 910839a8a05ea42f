"""What each operator of a network does to values that lie on a grid of integers.

    layer       multiplies by weights: reads a grid, and writes another
    activation  cuts negative values off: the grid behind it does so by itself, as its zero point is 0
    same        moves values, or picks some: what comes out lies on the grid of what went in
    joined      adds, multiplies or averages integers: reads grids, and writes another
    float       all others: they read and write floats

`joined` are those for which ONNX Runtime has integer kernels (QLinearAdd, QLinearMul, QLinearConcat,
QLinearAveragePool, QLinearGlobalAveragePool).
"""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import fx

from pruning.quantise.tracing import is_several, layer_at, shape_of

Role = Literal["layer", "activation", "same", "joined", "float"]

SAME = frozenset(
    """
    maxpool1d maxpool2d maxpool3d adaptivemaxpool1d adaptivemaxpool2d adaptivemaxpool3d
    flatten reshape view unflatten permute transpose swapaxes swapdims movedim squeeze unsqueeze t mt
    getitem pad zeropad1d zeropad2d zeropad3d constantpad1d constantpad2d constantpad3d
    reflectionpad1d reflectionpad2d reflectionpad3d replicationpad1d replicationpad2d replicationpad3d
    contiguous clone dropout dropout1d dropout2d dropout3d identity chunk split unbind narrow select
    expand repeat pixelshuffle pixelunshuffle channelshuffle interpolate upsample upsamplingnearest2d
    """.split()
)
AVERAGES = frozenset(f"{kind}avgpool{n}d" for kind in ("", "adaptive") for n in (1, 2, 3)) | {"globalmean"}


def bare_name(graph: fx.GraphModule, node: fx.Node) -> str:
    """`maxpool2d` for the module, the function and the method alike; empty for what is no operator of torch."""
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        known = type(module).__module__.startswith("torch.nn") or type(module).__name__ == "GlobalMean"
        return type(module).__name__.lower() if known else ""
    if node.op == "call_function":
        return str(getattr(node.target, "__name__", "")).replace("_", "").lower()
    return str(node.target).replace("_", "").lower() if node.op == "call_method" else ""


def role(graph: fx.GraphModule, node: fx.Node) -> Role:
    """What `node` does; see the table above."""
    if layer_at(graph, node) is not None:
        return "layer"
    name = bare_name(graph, node)
    if upper_bound(graph, node) is not None:
        return "activation"
    if name in SAME and _keeps_the_grid(graph, node, name):
        return "same"
    if name in ("add", "mul", "cat", "concat", "concatenate") and _joins(node):
        return "joined"
    return "joined" if name in AVERAGES and shape_of(node) is not None else "float"


def upper_bound(graph: fx.GraphModule, node: fx.Node) -> float | None:
    """Where an activation that begins at 0 ends (infinity for ReLU, 6 for ReLU6); None for all others."""
    name = bare_name(graph, node)
    if name in ("relu", "relu6"):
        return math.inf if name == "relu" else 6.0
    if name not in ("hardtanh", "clamp", "clip"):
        return None
    least, most = _bounds(graph, node, name)
    numbers = all(isinstance(each, (int, float)) for each in (least, most))
    return float(most) if numbers and least == 0 and most > 0 else None


def _bounds(graph: fx.GraphModule, node: fx.Node, name: str) -> tuple[Any, Any]:
    if node.op == "call_module":
        module: Any = graph.get_submodule(str(node.target))
        return module.min_val, module.max_val
    hard = name == "hardtanh"
    words = ("min_val", "max_val") if hard else ("min", "max")
    least, most = (argument(node, place, word) for place, word in enumerate(words, 1))
    if hard:
        return -1.0 if least is None else least, 1.0 if most is None else most
    return -math.inf if least is None else least, math.inf if most is None else most


def argument(node: fx.Node, place: int, name: str) -> Any:
    """An argument by its place or name; None where it is not given."""
    return node.args[place] if len(node.args) > place else node.kwargs.get(name)


def _keeps_the_grid(graph: fx.GraphModule, node: fx.Node, name: str) -> bool:
    module: Any = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    if not any(shape_of(each) is not None or is_several(each) for each in node.all_input_nodes):
        return False  # what it takes a value out of is none itself: the outputs of a module that is one call
    if name == "getitem" and node.all_input_nodes and is_several(node.all_input_nodes[0]):
        return role(graph, node.all_input_nodes[0]) == "same"
    if name == "pad":
        return not argument(node, 3, "value")
    if name.startswith("constantpad"):
        return not module.value
    if name in ("interpolate", "upsample"):
        mode = module.mode if module is not None else argument(node, 3, "mode") or "nearest"
        return str(mode).startswith("nearest")
    if "maxpool" in name:
        indices = module.return_indices if module is not None else node.kwargs.get("return_indices", False)
        return not indices
    return True


def _joins(node: fx.Node) -> bool:
    """Both factors, or all parts, are values that were computed from the input; and nothing else is asked."""
    first = node.args[0] if node.args else None
    parts = list(first) if isinstance(first, (list, tuple)) else list(node.args[:2])
    if set(node.kwargs) - {"dim", "axis"} or len(parts) < 2 - isinstance(first, (list, tuple)):
        return False
    values = all(isinstance(each, fx.Node) and shape_of(each) is not None for each in parts)
    return values and not any(isinstance(each, fx.Node) and each.op == "get_attr" for each in parts)
