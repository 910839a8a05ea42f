"""What falls with an output unit of a layer, and what stands in the way.

Torch-Pruning's dependency graph follows the channels of a unit through the model. Operators that it
does not know it takes for element-wise ones, and prunes through them. Here each operator on the
way must be on a short list of those that keep a zero channel zero and leave channels apart.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from pruning.layers import Layer, weight_layers

# Operators by the name of their autograd node, less "Backward0".
ACTIVATIONS = {"Relu", "Hardtanh", "LeakyRelu", "Elu", "Gelu", "Silu", "Hardswish", "Mish", "Tanh"}
POOLINGS = {"MaxPool2DWithIndices", "MaxPool3DWithIndices", "AvgPool2D", "AvgPool3D", "AdaptiveAvgPool2D"}
# Parameter name → indices along one of its dimensions, and the unit that each belongs to, int64 `[n]` both.
Attached = dict[str, tuple[torch.Tensor, torch.Tensor]]

JOINED = "its output is joined with that of"
ZERO_PRESERVING = ACTIVATIONS | POOLINGS | {"Clone", "ToCopy", "T"}


@dataclass(frozen=True)
class Falling:
    """What falls with some output units of a layer.

    Attributes:
        width: output units that the layer has in all.
        parameters: name → indices along the first dimension, of biases, batch norms and depthwise
            filters that must be zero for the units to be silent.
        obstacle: why the units cannot fall, or None.
    """

    width: int
    parameters: dict[str, list[int]] = field(default_factory=dict)
    obstacle: str | None = None


class Trace:
    """The dependency graph of a copy of `model`; `model` itself is left as it is.

    Raises:
        ValueError: the model does not run on `example_inputs`.
    """

    def __init__(self, model: nn.Module, example_inputs: torch.Tensor) -> None:
        import torch_pruning

        self.model = copy.deepcopy(model).requires_grad_(True)
        self.names = {module: name for name, module in self.model.named_modules()}
        with torch.enable_grad():
            inputs = example_inputs.detach()
            if inputs.is_floating_point():
                inputs = inputs.clone().requires_grad_().clone()  # gives the model's input a node in the graph
            self.input_node = inputs.grad_fn
            try:
                self.graph = torch_pruning.DependencyGraph().build_dependency(
                    self.model, inputs, forward_fn=_forward, verbose=False
                )
            except (RuntimeError, ValueError, TypeError) as error:
                raise ValueError(f"The model could not be traced on the example inputs: {error}") from error
        self.types = torch_pruning.ops.OPTYPE

    def falling(self, name: str, units: Sequence[int] | None = None) -> Falling:
        """What falls with `units` (default: all) of layer `name`, a convolution or linear layer."""
        layer = weight_layers(self.model)[name]
        width = layer.weight.shape[0]
        if layer not in self.graph.module2node:
            return Falling(width, obstacle="the example inputs do not pass through it")
        if getattr(layer, "groups", 1) > 1:
            return Falling(width, obstacle="it is a grouped convolution, whose filters fall with their inputs")
        group = self._group(layer, range(width) if units is None else units)
        own_bias = {f"{name}.bias" if name else "bias": list(group[0].idxs)}
        parameters: dict[str, list[int]] = own_bias if layer.bias is not None else {}
        obstacles = [self._obstacle(layer, dependency) for dependency, _ in group[1:]]
        for dependency, index in group[1:]:
            if dependency.target.type in (self.types.BN, self.types.DEPTHWISE_CONV):
                module = self.names[dependency.target.module]
                for own, _ in dependency.target.module.named_parameters(recurse=False):
                    parameters[f"{module}.{own}"] = list(index)
        # A layer that is joined with this one is no obstacle of its own where both meet a harder one.
        found = sorted((obstacle for obstacle in obstacles if obstacle is not None), key=_is_joint)
        return Falling(width, parameters, found[0] if found else None)

    def attached(self, name: str) -> tuple[Attached, Attached]:
        """What belongs to which output unit of layer `name`, where `falling` finds no obstacle.

        Returns:
            Biases, batch norms and depthwise filters, by their first dimension; and the weights of
            the layers that read the units, by their second. One unit may have several of each.
        """
        layer, types = weight_layers(self.model)[name], self.types
        group = self._group(layer, range(layer.weight.shape[0]))
        prefix = f"{name}." if name else ""
        units = torch.tensor(group[0].root_idxs)
        own: Attached = {f"{prefix}bias": (units, units)} if layer.bias is not None else {}
        readers: Attached = {}
        for item in group[1:]:
            node, of_units = item.dep.target, (torch.tensor(item.idxs), torch.tensor(item.root_idxs))
            if node.type in (types.BN, types.DEPTHWISE_CONV):
                for parameter, _ in node.module.named_parameters(recurse=False):
                    own[f"{self.names[node.module]}.{parameter}"] = of_units
            elif node.type in (types.CONV, types.LINEAR):
                readers[f"{self.names[node.module]}.weight"] = of_units
        return own, readers

    def remove(self, name: str, units: Sequence[int]) -> None:
        """Take `units` of layer `name` out of `self.model`, with all that falls with them."""
        self._group(self.model.get_submodule(name), units).prune()

    def _group(self, layer: nn.Module, units: Sequence[int]) -> Any:
        handler = self.graph.get_pruner_of_module(layer).prune_out_channels
        return self.graph.get_pruning_group(layer, handler, list(units))

    def _obstacle(self, layer: Layer, dependency: Any) -> str | None:
        node, types = dependency.target, self.types
        name = self.names.get(node.module, "")
        if node.type in (types.CONV, types.LINEAR):
            if self.graph.is_out_channel_pruning_fn(dependency.handler):
                return f"{JOINED} {name}, so their filters could only fall together"
            if getattr(node.module, "groups", 1) > 1:
                return f"{name} reads it, a grouped convolution"
            return None
        if node.type == types.BN:
            return None if node.module.affine else f"{name} has no weight and bias, and shifts even a zero channel"
        if node.type == types.DEPTHWISE_CONV:
            one_to_one = node.module.in_channels == node.module.out_channels
            return None if one_to_one else f"{name} reads it, a grouped convolution"
        if node.type == types.OUTPUT:
            return "it reaches the output of the model"
        if node.grad_fn is self.input_node and self.input_node is not None:
            return "it is joined with the input of the model"
        if node.type in (types.RESHAPE, types.PRELU):
            return None
        if node.type in (types.ELEMENTWISE, types.SLICE):
            return _operator_obstacle(node.grad_fn, layer.weight.ndim - 2)
        return f"it reaches {name or node.type.name.lower()}, which cannot be crossed"


def _forward(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """The outputs behind one more node, which is how the graph marks them as outputs."""
    outputs = model(inputs)
    if not isinstance(outputs, torch.Tensor):
        raise TypeError(f"the model must give one tensor, not {type(outputs).__name__}")
    return outputs.clone()


def _is_joint(obstacle: str) -> bool:
    return obstacle.startswith(JOINED)


def _operator_obstacle(grad_fn: Any, channel_from_last: int) -> str | None:
    """Why a channel cannot cross the operator of an autograd node, or None.

    Args:
        channel_from_last: dimensions behind the channel's (2 for images, 0 for vectors).
    """
    operator = re.sub(r"Backward\d*$", "", grad_fn.name())
    if operator in ZERO_PRESERVING:
        return None
    if operator == "ConstantPadNd":
        mixes = any(grad_fn._saved_pad[2 * channel_from_last :])
        return "it reaches a padding of channels (an option-A shortcut), which cannot be crossed" if mixes else None
    if operator in ("Mean", "Sum", "Slice") and hasattr(grad_fn, "_saved_dim"):
        dims = grad_fn._saved_dim
        ndim = len(grad_fn._saved_self_sym_sizes)
        touched = {_signed(dim) % ndim for dim in (dims if isinstance(dims, (tuple, list)) else (dims,))}
        channel = ndim - 1 - channel_from_last
        return f"it reaches {operator} over its channels, which cannot be crossed" if channel in touched else None
    constant = any(source is None for source, _ in grad_fn.next_functions)
    if operator in ("Add", "Sub"):
        return f"it reaches {operator} of a constant, which no zero channel survives" if constant else None
    if operator in ("Mul", "Div"):
        scale = getattr(grad_fn, "_saved_other", None)
        wide = constant and scale is not None and scale.numel() > 1
        return f"it reaches {operator} by a constant tensor, which cannot be crossed" if wide else None
    return f"it reaches the operator {operator}, which cannot be crossed"


def _signed(dim: int) -> int:
    """Autograd keeps negative dimensions as unsigned 64-bit numbers."""
    return dim - 2**64 if dim >= 2**63 else dim
