"""What torch offers for networks, as small modules: the tables of layers and operators are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

VECTOR, SEQUENCE, IMAGE, SIGNAL, TOKENS = (8,), (5, 8), (4, 8, 8), (4, 16), (6,)


class Written(nn.Module):
    """A function of its input, and of the parts it is given."""

    def __init__(self, function: Callable[..., torch.Tensor], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)
        self.parts = list(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, **{name: getattr(self, name) for name in self.parts})


class Together(nn.Module):
    """All of a group on the same input, side by side: `[n, …]` → `[n, outputs]`."""

    def __init__(self, members: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleDict(members)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([member(x).flatten(1).float() for member in self.members.values()], 1)


@dataclass(frozen=True)
class Group:
    """Modules of one kind.

    Attributes:
        shape: of one input; token ids where it is `TOKENS`.
        members: name → what builds the module.
        beside: names of matrices (parameters) that no layer multiplies by.
        macs: of one sample, where torch's own counter does not know them.
    """

    shape: tuple[int, ...]
    members: Mapping[str, Callable[[], nn.Module]]
    beside: tuple[str, ...] = ()
    macs: int | None = None


def functions(**of: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, Callable[[], nn.Module]]:
    """Members that are functions without parameters."""
    return {name: lambda function=function: Written(function) for name, function in of.items()}  # type: ignore[misc]


def modules(*builders: Callable[[], nn.Module]) -> dict[str, Callable[[], nn.Module]]:
    """Members by number and class."""
    return {f"{number}_{type(build()).__name__}": build for number, build in enumerate(builders)}


def matrix(*shape: int) -> nn.Parameter:
    """A parameter."""
    return nn.Parameter(torch.randn(shape))


def recurrent(kind: type[nn.RNNBase], **options: bool | int | str) -> Callable[[], nn.Module]:
    """All states of a layer 8 → 6."""
    return lambda: Written(lambda x, r: r(x)[0], r=kind(8, 6, batch_first=True, **options))


def last_state(kind: type[nn.RNNBase], **options: bool) -> Callable[[], nn.Module]:
    """The last state alone, of both directions where there are two."""

    def of(x: torch.Tensor, r: nn.RNNBase) -> torch.Tensor:
        state = r(x)[1]
        return torch.cat(list(state[0] if isinstance(state, tuple) else state), 1)

    return lambda: Written(of, r=kind(8, 6, batch_first=True, **options))


def attention(**options: bool | int) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(8, 2, batch_first=True, **options)


def attend(function: Callable[..., torch.Tensor], **parts: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Written(function, a=attention(), **parts)


def attend_to(a: nn.MultiheadAttention, x: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    return a(x, of, of)[0]


# Of a sequence of 5 in a width of 8: packed projections, scores and sums, output projection.
ATTENTION_MACS = 5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 8 * 8
CROSS_MACS = 5 * 8 * 8 + 3 * 8 * 16 + 2 * 5 * 3 * 8 + 5 * 8 * 8  # three keys
NARROW_MACS = 5 * 8 * 4 + 5 * 8 * 8 + 2 * 5 * 4 * 8 + 2 * 5 * 5 * 8 + 5 * 8 * 8
FEED_FORWARD_MACS = 2 * 5 * 8 * 16


def norm_first_encoder() -> nn.Module:
    """Two layers; torch copies the first one, and equal weights would count once."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    for parameter in encoder.layers[1].parameters():
        nn.init.normal_(parameter, std=0.2)
    return encoder


def recurrent_macs(gates: int) -> int:
    """Of the members of a group of `recurrent_members`, at 5 steps."""
    one, second, second_of_both = gates * 6 * (8 + 6), gates * 6 * (6 + 6), gates * 6 * (12 + 6)
    return 5 * (one + 2 * one + (one + second) + 2 * (one + second_of_both) + one + one + 2 * one + one)


def recurrent_members(kind: type[nn.RNNBase]) -> dict[str, Callable[[], nn.Module]]:
    def from_state(x: torch.Tensor, r: nn.RNNBase, h: nn.Parameter) -> torch.Tensor:
        state = h.expand(1, x.shape[0], 6).contiguous()
        return r(x, (state, state) if isinstance(r, nn.LSTM) else state)[0]

    return {
        "plain": recurrent(kind),
        "both": recurrent(kind, bidirectional=True),
        "deep": recurrent(kind, num_layers=2),
        "deep_both": recurrent(kind, num_layers=2, bidirectional=True),
        "no_bias": recurrent(kind, bias=False),
        "last": last_state(kind),
        "last_both": last_state(kind, bidirectional=True),
        "from_state": lambda: Written(from_state, r=kind(8, 6, batch_first=True), h=matrix(1, 1, 6)),
    }


def set_slice(x: torch.Tensor) -> torch.Tensor:
    x = x.clone()
    x[:, :2] = 2 * x[:, :2]
    return x


def rotate(x: torch.Tensor) -> torch.Tensor:
    angle = torch.arange(5.0)[:, None] * 10000.0 ** (-torch.arange(4.0) / 4)
    first, second = x.chunk(2, -1)
    return torch.cat([first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos()], -1)


def causal() -> torch.Tensor:
    return torch.triu(torch.full((5, 5), float("-inf")), 1)
