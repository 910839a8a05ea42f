"""The last rewriting of a rounded network, after which runtimes see integers everywhere; it computes the same."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from pruning.quantise.grid import GREATEST, LEAST
from pruning.quantise.integers import PaddedCodes, Quantiser
from pruning.quantise.operators import argument, bare_name, upper_bound
from pruning.quantise.placing import MOVED, NO_STEP
from pruning.quantise.tracing import shape_of


def finished(model: nn.Module) -> nn.Module:
    """Write a rounded network so that runtimes see integers everywhere; it computes the same.

    What was only moved passes its quantiser again, zeros are padded as codes, and activations go where the grid
    behind them cuts off by itself what they would: its least code is zero, and its greatest no more than their end.
    """
    _split_softmax(model)
    if not isinstance(model, fx.GraphModule):
        return model
    graph = model.graph
    for node in list(graph.nodes):
        if MOVED in node.meta and shape_of(node) is not None and bare_name(model, node) not in NO_STEP:
            amounts = _padded(model, node)
            with graph.inserting_after(node):
                if amounts is None:
                    call = graph.call_module(node.meta[MOVED], (node,))
                else:
                    call = _pad_codes(model, node, amounts)
            node.replace_all_uses_with(call, delete_user_cb=lambda user, own=call: user is not own)
            if amounts is not None:
                graph.erase_node(node)
                continue
        quantiser = model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(quantiser, Quantiser):
            _drop_activation(model, node, quantiser)
    graph.lint()
    model.recompile()
    return model


def _padded(model: fx.GraphModule, node: fx.Node) -> tuple[int, ...] | None:
    """By how much a node pads with zeros, as `torch.nn.functional.pad` takes it; None where it does something else."""
    module: Any = model.get_submodule(str(node.target)) if node.op == "call_module" else None
    name = bare_name(model, node)
    if name.startswith(("zeropad", "constantpad")):
        amounts = module.padding
    elif name == "pad" and (argument(node, 2, "mode") or "constant") == "constant":
        amounts = argument(node, 1, "pad")
    else:
        return None
    return tuple(amounts) if all(isinstance(each, int) for each in amounts) else None


def _pad_codes(model: fx.GraphModule, node: fx.Node, amounts: tuple[int, ...]) -> fx.Node:
    """In place of `node` and its quantiser: ONNX Runtime pads floats, though what is around is of integers."""
    quantiser, shape, values = model.get_submodule(node.meta[MOVED]), shape_of(node), node.args[0]
    assert isinstance(quantiser, Quantiser) and shape is not None and isinstance(values, fx.Node)
    if values.op == "call_module" and values.target == node.meta[MOVED]:  # rounds what is rounded
        values = values.args[0]
    name = f"{node.name}_of_codes"
    model.add_submodule(name, PaddedCodes(quantiser, amounts, len(shape)))
    call = model.graph.call_module(name, (values,))
    call.meta["shape"] = shape
    return call


def _split_softmax(model: nn.Module) -> None:
    """Take each softmax of rounded values of how far they are below their greatest: the same, in two steps.

    In one, ONNX Runtime (1.31) makes a QLinearSoftmax of it, which returns zeros where its input's scale is below
    about 0.01.
    """
    called = set()
    for node in list(model.graph.nodes) if isinstance(model, fx.GraphModule) else ():
        assert isinstance(model, fx.GraphModule)
        called.add(node.target)
        values = argument(node, 0, "input")
        if bare_name(model, node) not in ("softmax", "softmax2d") or not isinstance(values, fx.Node):
            continue
        if not isinstance(model.get_submodule(str(values.target)) if values.op == "call_module" else None, Quantiser):
            continue
        module = model.get_submodule(str(node.target)) if node.op == "call_module" else None
        dim = argument(node, 1, "dim") if module is None else _softmax_dim(module)
        if isinstance(dim, int):
            with model.graph.inserting_before(node):
                greatest = model.graph.call_function(torch.amax, (values, dim), {"keepdim": True})
                node.replace_input_with(values, model.graph.call_function(torch.sub, (values, greatest)))
    for name, module in model.named_modules():
        if isinstance(module, (nn.Softmax, nn.Softmax2d)) and name not in called:
            module.register_forward_pre_hook(_below_greatest)


def _softmax_dim(module: nn.Module) -> int | None:
    return module.dim if isinstance(module, nn.Softmax) else -3  # Softmax2d: the channels of [n, c, h, w]


def _below_greatest(softmax: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    dim = _softmax_dim(softmax)
    return inputs if dim is None else (inputs[0] - inputs[0].amax(dim, keepdim=True), *inputs[1:])


def _drop_activation(model: fx.GraphModule, call: fx.Node, quantiser: Quantiser) -> None:
    activation = call.args[0]
    assert isinstance(activation, fx.Node)
    end = upper_bound(model, activation)
    if end is None or len(activation.users) > 1 or int(quantiser.zero_point) != LEAST:
        return
    if float(quantiser.scale) * GREATEST <= end * (1 + 1e-6):
        call.update_arg(0, activation.args[0])
        model.graph.erase_node(activation)
