"""Which operators a channel can cross: one short list; all others are obstacles.

An operator may be crossed if it keeps a zero channel zero and leaves channels apart. Those that
only move entries have no rules of their own: they are run a second time on a tensor that holds at
each place the number of its channel, and the result says where the channels went.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pruning.shrinking.follow import ACTIVATIONS, POOLINGS, Call, Channels, Rule
from pruning.shrinking.stream import Label, Stream


def _keep(channels: Channels, call: Call) -> None:
    label = channels.label(call.argument(0, "input"))
    if label is not None:
        channels.give(call.result, label)


def _clip(channels: Channels, call: Call) -> None:
    """Limits that leave zero where it is; ReLU6 comes as the limits 0 and 6."""
    least, most = call.argument(1, "min_val"), call.argument(2, "max_val")
    if (-1.0 if least is None else least) <= 0 <= (1.0 if most is None else most):
        _keep(channels, call)
    else:
        channels.stop(call, f"it reaches {call.name} with limits beyond zero, which cannot be crossed")


def _pool(channels: Channels, call: Call) -> None:
    label = channels.label(call.argument(0, "input"))
    pooled = int(call.name.split("pool")[1][0])
    if label is not None and label.dim is not None and -label.dim <= pooled:
        channels.stop(call, f"it reaches {call.name} over its channels, which cannot be crossed")
    else:
        _keep(channels, call)


def _move(channels: Channels, call: Call) -> None:
    moved = call.argument(0, "input")
    label = channels.label(moved)
    if label is None or not isinstance(call.result, torch.Tensor):
        return
    if label.dim is None:
        return channels.give(call.result, label)
    size = moved.shape[label.dim]
    units = size // label.columns
    line = (torch.arange(size) // label.columns).double()
    probe = line.view(-1, *[1] * (-label.dim - 1)).expand(moved.shape).contiguous()
    function = torch.mean if call.name == "sum" else call.function
    found = _position(function(probe, *call.args[1:], **call.kwargs), units)
    if found is None:
        names = {"getitem": "slice"}
        obstacle = f"it reaches {names.get(call.name, call.name)} over its channels, which cannot be crossed"
        return channels.stop(call, obstacle)
    channels.give(call.result, Label(label.stream, *found))


def _position(probe: torch.Tensor, units: int) -> tuple[int, int] | None:
    """Along which dimension the channels' numbers now run, and how many entries each has."""
    for dim in range(-1, -probe.ndim - 1, -1):
        size = probe.shape[dim]
        if size and size % units == 0:
            line = (torch.arange(size) // (size // units)).view(-1, *[1] * (-dim - 1))
            if torch.equal(probe.round(), line.to(probe.dtype).expand(probe.shape)):
                return dim, size // units
    return None


def _pad(channels: Channels, call: Call) -> None:
    label = channels.label(call.argument(0, "input"))
    widths, value = call.argument(1, "pad"), call.argument(3, "value")
    if label is None or label.dim is None:
        return _keep(channels, call)
    place = 2 * (-label.dim - 1)
    if any(widths[place : place + 2]):
        return channels.stop(call, "it reaches a padding of channels (an option-A shortcut), which cannot be crossed")
    if value:
        return channels.stop(call, f"it reaches a padding by {value}, which no zero channel survives")
    _keep(channels, call)


def _sum(channels: Channels, call: Call) -> None:
    one, two = call.argument(0, "input"), call.argument(1, "other")
    mine, theirs = channels.label(one), channels.label(two)
    if mine is not None and theirs is not None:
        return _join(channels, call, one, two)
    constant = two if mine is not None else one
    if not isinstance(constant, torch.Tensor) and constant == 0:  # Python's own sum() begins with it
        label = mine if mine is not None else theirs
        return channels.give(call.result, label) if label is not None else None
    channels.stop(call, f"it reaches {call.name} of a constant, which no zero channel survives")


def _product(channels: Channels, call: Call) -> None:
    one, two = call.argument(0, "input"), call.argument(1, "other")
    mine, theirs = channels.label(one), channels.label(two)
    if mine is not None and theirs is not None:
        return _join(channels, call, one, two) if "div" not in call.name else channels.stop(call)
    constant, label = (two, mine) if mine is not None else (one, theirs)
    if label is None:
        return
    if isinstance(constant, torch.Tensor) and constant.numel() > 1:
        return channels.stop(call, f"it reaches {call.name} by a constant tensor, which cannot be crossed")
    channels.give(call.result, label)


def _join(channels: Channels, call: Call, one: torch.Tensor, two: torch.Tensor) -> None:
    mine, theirs = channels.labels[one], channels.labels[two]
    if mine.dim is None or theirs.dim is None:
        mine.stream.join(theirs.stream)
        return channels.give(call.result, Label(mine.stream, None))
    same = mine[1:] == theirs[1:] and one.shape[mine.dim] == two.shape[theirs.dim]
    if not same:
        return channels.stop(call)
    mine.stream.join(theirs.stream)
    channels.give(call.result, mine)


def _layer(channels: Channels, call: Call) -> None:
    """A convolution or linear layer: ends one stream and begins another."""
    inputs, weight = call.argument(0, "input"), call.argument(1, "weight")
    label, name = channels.label(inputs), channels.owners.get(id(weight))
    layer = channels.layers.get(name) if name is not None else None
    if name is None or layer is None or layer.weight is not weight:
        return channels.stop(call, f"it reaches a {call.name} whose weight is no layer's, which cannot be crossed")
    dim, groups = 1 - weight.ndim, getattr(layer, "groups", 1)
    if label is not None and label.dim is not None and label.dim != dim:
        label.stream.block(f"{name} reads it across its channels")
    elif label is not None and groups == layer.weight.shape[0] == _size(inputs, label) > 1:
        return _follow(channels, call, label, name)
    elif label is not None and groups > 1:
        label.stream.block(f"{name} reads it, a grouped convolution")
    elif label is not None:
        label.stream.join(Stream(readers={name: label.columns}))
        channels.read.setdefault(name, label.stream).join(label.stream)  # called twice: both inputs fall together
        if name in channels.shared:
            label.stream.block(f"{name} reads it, and shares its weight with another module")
    stream = channels.written.setdefault(name, Stream(producers=[name]))
    if groups > 1:
        stream.block("it is a grouped convolution, whose filters fall with their inputs")
    if name in channels.shared:
        stream.block("it shares a parameter with another module")
    channels.give(call.result, Label(stream, dim))


def _size(tensor: torch.Tensor, label: Label) -> int:
    """Entries of `tensor` along the dimension of its channels; 0 where that is not known."""
    return tensor.shape[label.dim] if label.dim is not None else 0


def _norm(channels: Channels, call: Call) -> None:
    label = channels.label(call.argument(0, "input"))
    name = channels.owner(call.tensors())
    if label is None or label.dim is None:
        return _keep(channels, call)
    if name is None or call.argument(3, "weight") is None:
        return channels.stop(call, f"{name or call.name} has no weight and bias, and shifts even a zero channel")
    _follow(channels, call, label, name)


def _prelu(channels: Channels, call: Call) -> None:
    label, weight = channels.label(call.argument(0, "input")), call.argument(1, "weight")
    name = channels.owner(call.tensors())
    if label is None or label.dim is None or weight.numel() == 1:
        return _keep(channels, call)
    _follow(channels, call, label, name) if name is not None else channels.stop(call)


def _follow(channels: Channels, call: Call, label: Label, name: str) -> None:
    inputs = call.argument(0, "input")
    if label.dim is None or label.dim + inputs.ndim != 1 or name in channels.shared:
        return channels.stop(call)
    label.stream.join(Stream(followers={name: label.columns}))
    channels.written.setdefault(name, label.stream).join(label.stream)
    channels.give(call.result, label)


KEEP = (
    "hardshrink softshrink dropout dropout1d dropout2d dropout3d feature_dropout alpha_dropout clone contiguous "
    "detach to float double half bfloat16 type cpu requires_grad interpolate neg abs"
)
MOVE = (
    "getitem get view reshape flatten unflatten transpose permute swapaxes swapdims movedim squeeze unsqueeze "
    "expand expand_as view_as reshape_as mean sum"
)
RULES: Mapping[str, Rule] = {
    **dict.fromkeys((*ACTIVATIONS, *KEEP.split()), _keep),
    **dict.fromkeys((*POOLINGS, *(f"{name}_with_indices" for name in POOLINGS)), _pool),
    **dict.fromkeys(MOVE.split(), _move),
    **dict.fromkeys(("add", "iadd", "radd", "sub", "isub", "rsub", "subtract"), _sum),
    **dict.fromkeys(("mul", "imul", "rmul", "multiply", "div", "truediv", "itruediv", "true_divide"), _product),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "linear"), _layer),
    "hardtanh": _clip,
    "pad": _pad,
    "batch_norm": _norm,
    "prelu": _prelu,
}
