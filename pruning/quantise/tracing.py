"""A network as a graph of calls (torch.fx), so that what flows between its layers can be rounded.

Layers keep their names. A module whose forward cannot be followed symbolically, because it asks for
values or is written in a way that torch.fx does not see through, stays one opaque call; the network
around it is followed all the same. What comes out must compute what the network computes, on a
sample: else nothing of it is used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from pruning.layers import LAYERS, Layer
from pruning.observing import inference

TOLERANCE = 1e-3  # of the largest output: another order of sums, no other network


class CannotFollowError(ValueError):
    """The network cannot be written as a graph; says why."""


def follow(model: nn.Module, inputs: torch.Tensor) -> fx.GraphModule:
    """A copy of `model` as it is in evaluation mode, as a graph, with the shape of each value noted for `shape_of`.

    Nothing in it happens in place.

    Args:
        inputs: one batch, as the model takes it.

    Raises:
        CannotFollowError: the forward of the model itself cannot be followed, or the graph computes
            something else.
    """
    model = copy.deepcopy(model)
    with inference(model):
        graph = _traced(model)
    graph.training = model.training
    _without_in_place(graph)
    record_shapes(graph, inputs)
    require_same(graph, model, inputs)
    return graph


def _traced(model: nn.Module) -> fx.GraphModule:
    opaque: set[str] = set()
    while True:
        tracer = _Tracer(opaque)
        try:
            return fx.GraphModule(model, tracer.trace(model))
        except Exception as error:  # a forward may raise anything when it is given no numbers
            if not tracer.failed:
                raise CannotFollowError(f"its forward cannot be followed: {_first_line(error)}") from error
            opaque.add(tracer.failed)


def require_same(graph: nn.Module, model: nn.Module, inputs: torch.Tensor) -> None:
    """Raises CannotFollowError: the two do not give the same for `inputs`, in evaluation mode."""
    with inference(graph), inference(model):
        found, expected = graph(inputs), model(inputs)
    if not isinstance(expected, torch.Tensor) or not isinstance(found, torch.Tensor):
        raise CannotFollowError("it gives something other than one tensor")
    largest = max(float(expected.abs().max()), 1e-6) if expected.numel() else 1.0
    if found.shape != expected.shape or not float((found - expected).abs().max()) <= TOLERANCE * largest:
        raise CannotFollowError("written as a graph it computes something else")


def is_plain(layer: nn.Module) -> bool:
    """Whether the forward of a layer is that of its class in torch."""
    return any(type(layer).forward is kind.forward for kind in LAYERS)


def odd_layers(graph: fx.GraphModule, inputs: torch.Tensor) -> set[str]:
    """Names of layers of a class of its own that computes something else than the layer it is derived from."""
    finder = _OddLayers(graph)
    with inference(graph):
        finder.run(inputs)
    return finder.odd


def record_shapes(graph: fx.GraphModule, inputs: torch.Tensor) -> None:
    """Note the shape of every float tensor, by one run on `inputs`."""
    for node in graph.graph.nodes:
        node.meta.pop("shape", None)
    try:
        with inference(graph):
            _Shapes(graph).run(inputs)
    except Exception as error:
        raise CannotFollowError(f"its graph does not run: {_first_line(error)}") from error


def shape_of(node: fx.Node) -> torch.Size | None:
    """The shape of a value, or None where it is no tensor of floats."""
    shape: torch.Size | None = node.meta.get("shape")
    return shape


def is_several(node: fx.Node) -> bool:
    """Whether a step gives several tensors, as `chunk` does."""
    return bool(node.meta.get("several"))


def layer_at(graph: fx.GraphModule, node: fx.Node) -> Layer | None:
    """The convolution or linear layer that `node` calls, or None."""
    module = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    return module if isinstance(module, LAYERS) else None


class _Tracer(fx.Tracer):
    """Looks into every module but layers, torch's own and `opaque` ones.

    Attributes:
        failed: the innermost module whose forward raised.
    """

    def __init__(self, opaque: set[str]) -> None:
        super().__init__()
        self.opaque, self.failed = opaque, ""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = isinstance(m, LAYERS) or module_qualified_name in self.opaque
        return known or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed = self.failed or self.path_of_module(m)
            raise


class _Shapes(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, torch.Tensor) and result.is_floating_point():
            n.meta["shape"] = result.shape
        n.meta["several"] = isinstance(result, (tuple, list)) and any(isinstance(each, torch.Tensor) for each in result)
        return result


class _OddLayers(fx.Interpreter):
    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.odd: set[str] = set()

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = super().call_module(target, args, kwargs)
        layer = self.fetch_attr(target)
        if isinstance(layer, LAYERS) and not is_plain(layer):
            kind = next(each for each in LAYERS if isinstance(layer, each))
            same = kind.forward(layer, *args, **kwargs)  # type: ignore[arg-type]
            if same.shape != result.shape or not torch.allclose(same, result, rtol=1e-3, atol=1e-5):
                self.odd.add(target)
        return result


def _without_in_place(graph: fx.GraphModule) -> None:
    """`x += y`, `x.relu_()` and `inplace=True` as their plain forms: a value that is read twice must not change."""
    import inspect
    import operator

    for module in graph.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    for node in graph.graph.nodes:
        if layer_at(graph, node) is not None and not node.args:
            node.args, node.kwargs = (node.kwargs["input"],), {}
        if node.op == "call_method" and node.target.endswith("_") and hasattr(torch.Tensor, node.target.strip("_")):
            node.target = node.target.strip("_")
        if node.op != "call_function":
            continue
        name = getattr(node.target, "__name__", "")
        if node.target in (operator.iadd, operator.isub, operator.imul, operator.itruediv):
            node.target = getattr(operator, name[1:])
        elif name.endswith("_") and (plain := getattr(torch, name[:-1], None)) is not None:
            node.target = plain
        if "inplace" in node.kwargs:
            node.update_kwarg("inplace", False)
        elif len(node.args) > 1 and True in [each for each in node.args if isinstance(each, bool)]:
            try:
                place = list(inspect.signature(node.target).parameters).index("inplace")
            except ValueError:
                continue
            if place < len(node.args):
                node.update_arg(place, False)
    graph.recompile()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
