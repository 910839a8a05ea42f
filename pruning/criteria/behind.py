"""What reads a layer's output: its batch norm, its ReLU.

The order in which modules are defined does not tell, and a ReLU may be a function and no module. So
the model runs once on a few samples, and the graph that autograd records is followed: node by node
it tells which operator reads which tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from pruning.criteria.gradients import stand_ins
from pruning.criteria.layout import layer_of
from pruning.observing import evaluating, hooked

BATCH_NORMS = _BatchNorm


@dataclass(frozen=True)
class Behind:
    """What comes right behind a layer, as the one reader of its output.

    Attributes:
        norm: name of the batch norm, or None.
        rectified: a ReLU (or ReLU6) comes next, behind the batch norm where there is one.
    """

    norm: str | None = None
    rectified: bool = False


def behind(model: nn.Module, names: Sequence[str], inputs: torch.Tensor) -> dict[str, Behind]:
    """Weight name → what comes behind its layer; nothing where readers are several or differ from
    call to call, or where a batch norm serves other layers too.

    Args:
        inputs: a few samples.

    Raises:
        ValueError: the model gives no single tensor that can be differentiated.
    """
    layers = {layer_of(model, name): name for name in names}
    norms = {module: name for name, module in model.named_modules() if isinstance(module, BATCH_NORMS)}
    ends: dict[nn.Module, list[Any]] = {}

    def after(module: nn.Module, _: Any, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()  # a node of its own, which in-place operators cannot replace
        ends.setdefault(module, []).append(output.grad_fn)
        return output

    weights = stand_ins(model, (name for name, p in model.named_parameters() if p.is_floating_point()))
    with evaluating(model), hooked([*layers, *norms], after), torch.enable_grad():
        outputs = functional_call(model, weights, (inputs,))
    if not isinstance(outputs, torch.Tensor) or outputs.grad_fn is None:
        raise ValueError(f"The model must give one tensor that depends on its weights, not {type(outputs).__name__}.")
    readers = _readers(outputs.grad_fn)
    norm_of = {node: name for module, name in norms.items() for node in ends.get(module, [])}

    def follow(end: Any) -> Behind:
        reader = _only(readers.get(end))
        # A norm's end is the copy of its output, which reads the norm's own node.
        after_norm = _only(readers.get(reader)) if reader is not None else None
        if after_norm in norm_of:
            return Behind(norm_of[after_norm], _rectifies(_only(readers.get(after_norm))))
        return Behind(None, _rectifies(reader))

    found: dict[str, Behind] = {}
    for layer, name in layers.items():
        ways = {follow(end) for end in ends.get(layer, [])}
        way = ways.pop() if len(ways) == 1 else Behind()
        shared = way.norm is not None and len(ends[model.get_submodule(way.norm)]) != len(ends[layer])
        found[name] = Behind() if shared else way
    return found


def _readers(output: Any) -> dict[Any, set[Any]]:
    """Node of the graph → the nodes that read its result, of all that lead to `output`."""
    readers: dict[Any, set[Any]] = {output: set()}
    waiting = [output]
    while waiting:
        node = waiting.pop()
        for source, _ in node.next_functions:
            if source is None:
                continue
            if source not in readers:
                readers[source] = set()
                waiting.append(source)
            readers[source].add(node)
    return readers


def _only(nodes: set[Any] | None) -> Any:
    return next(iter(nodes)) if nodes is not None and len(nodes) == 1 else None


def _rectifies(node: Any) -> bool:
    """Whether a node of the graph is a ReLU, or a clamp between 0 and something (ReLU6)."""
    if node is None:
        return False
    operator = node.name()
    return operator.startswith("ReluBackward") or (operator.startswith("HardtanhBackward") and node._saved_min_val == 0)
