"""What torch offers for such networks, by kind: what the harness must take, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
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


GROUPS: dict[str, Group] = {
    "activations": Group(
        VECTOR,
        modules(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish)
        | {
            name: getattr(nn, name)
            for name in (
                "Hardsigmoid Hardswish Hardtanh Sigmoid Tanh LogSigmoid Softplus Softsign Tanhshrink Hardshrink "
                "Softshrink"
            ).split()
        }
        | modules(
            lambda: nn.GELU("tanh"),
            lambda: nn.Threshold(0.1, 0.0),
            lambda: nn.GLU(1),
            lambda: nn.Softmax(1),
            lambda: nn.LogSoftmax(1),
            lambda: nn.Softmin(1),
            lambda: nn.Dropout(),
        ),
    ),
    "norms of images": Group(
        IMAGE,
        modules(
            lambda: nn.BatchNorm2d(4),
            lambda: nn.GroupNorm(2, 4),
            lambda: nn.InstanceNorm2d(4),
            lambda: nn.InstanceNorm2d(4, affine=True),
            lambda: nn.LocalResponseNorm(3),
            lambda: nn.LayerNorm([4, 8, 8]),
        ),
        beside=("weight", "bias"),  # a layer norm over whole images has matrices of them
    ),
    "norms of sequences": Group(
        SEQUENCE,
        modules(lambda: nn.LayerNorm(8), lambda: nn.RMSNorm(8), lambda: nn.BatchNorm1d(5), lambda: nn.InstanceNorm1d(5))
        | functions(
            normalize=lambda x: F.normalize(x, dim=2), rms=lambda x: x * torch.rsqrt(x.pow(2).mean(-1, True) + 1e-6)
        ),
    ),
    "pools": Group(
        IMAGE,
        modules(
            lambda: nn.MaxPool2d(2),
            lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True),
            lambda: nn.MaxPool2d(2, dilation=2),
            lambda: nn.AvgPool2d(2),
            lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            lambda: nn.LPPool2d(2, 2),
            lambda: nn.AdaptiveAvgPool2d(1),
            lambda: nn.AdaptiveAvgPool2d(4),
            lambda: nn.AdaptiveAvgPool2d(3),
            lambda: nn.AdaptiveMaxPool2d(1),
        )
        | functions(unpool=lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
    ),
    "convolutions": Group(
        IMAGE,
        modules(
            lambda: nn.Conv2d(4, 6, 3, 2, 1),
            lambda: nn.Conv2d(4, 6, 3, bias=False),
            lambda: nn.Conv2d(4, 8, 3, groups=2),
            lambda: nn.Conv2d(4, 4, 3, groups=4, bias=False),
            lambda: nn.Conv2d(4, 6, 3, dilation=2),
            lambda: nn.Conv2d(4, 6, (3, 5), padding="same"),
            lambda: nn.Conv2d(4, 6, 4, padding="same"),
            lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
            lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"),
            lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="replicate"),
            lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1),
            lambda: nn.ConvTranspose2d(4, 6, 2, 2, bias=False),
            lambda: nn.ConvTranspose2d(4, 6, 3, groups=2),
            lambda: nn.ConvTranspose2d(4, 6, 3, dilation=2),
        ),
    ),
    "convolutions of signals": Group(
        SIGNAL,
        modules(
            lambda: nn.Conv1d(4, 6, 3),
            lambda: nn.Conv1d(4, 6, 4, padding="same", bias=False),
            lambda: nn.Conv1d(4, 4, 3, groups=4),
            lambda: nn.ConvTranspose1d(4, 6, 3, 2),
            lambda: nn.MaxPool1d(2),
            lambda: nn.AvgPool1d(2),
            lambda: nn.AdaptiveAvgPool1d(4),
        )
        | functions(linear=lambda x: F.interpolate(x, size=8, mode="linear")),
    ),
    "LSTM": Group(SEQUENCE, recurrent_members(nn.LSTM), beside=("h",), macs=recurrent_macs(4)),
    "GRU": Group(SEQUENCE, recurrent_members(nn.GRU), beside=("h",), macs=recurrent_macs(3)),
    "RNN": Group(SEQUENCE, recurrent_members(nn.RNN), beside=("h",), macs=recurrent_macs(1)),
    "cells": Group(
        SEQUENCE,
        {
            "lstm": lambda: Written(lambda x, c: c(x[:, 1], c(x[:, 0]))[0], c=nn.LSTMCell(8, 6)),
            "gru": lambda: Written(lambda x, c: c(x[:, 1], c(x[:, 0])), c=nn.GRUCell(8, 6)),
            "rnn": lambda: Written(lambda x, c: c(x[:, 1], c(x[:, 0])), c=nn.RNNCell(8, 6)),
        },
        macs=2 * (24 + 18 + 6) * (8 + 6),
    ),
    "attention": Group(
        SEQUENCE,
        {
            "self": attend(lambda x, a: a(x, x, x)[0]),
            "without_weights": attend(lambda x, a: a(x, x, x, need_weights=False)[0]),
            "cross": attend(lambda x, a: a(x, x[:, :3], x[:, :3])[0]),
            "of_a_layer": lambda: Written(lambda x, a, c: attend_to(a, x, c(x)), a=attention(), c=nn.Linear(8, 8)),
            "three_inputs": lambda: Written(lambda x, a, c: a(x, c(x), 2 * x)[0], a=attention(), c=nn.Linear(8, 8)),
            "no_bias": lambda: Written(lambda x, a: a(x, x, x)[0], a=attention(bias=False)),
            "other_widths": lambda: Written(
                lambda x, a, c: attend_to(a, x, c(x)), a=attention(kdim=4, vdim=4), c=nn.Linear(8, 4)
            ),
            "masked": attend(lambda x, a: a(x, x, x, attn_mask=causal())[0]),
            "padded": attend(lambda x, a: a(x, x, x, key_padding_mask=x[:, :, 0] > 1)[0]),
        },
        macs=7 * ATTENTION_MACS + 2 * 5 * 8 * 8 + CROSS_MACS + NARROW_MACS,  # torch does not count `baddbmm`
    ),
    "transformers": Group(
        SEQUENCE,
        {
            "encoder": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
            "decoder": lambda: Written(lambda x, d: d(x, x), d=nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)),
            "norm_first": norm_first_encoder,
            "sdpa": lambda: Written(
                lambda x, c: F.scaled_dot_product_attention(*c(x)[:, None].chunk(3, -1), is_causal=True),
                c=nn.Linear(8, 24),
            ),
        },
        macs=6 * ATTENTION_MACS - 5 * 8 * 8 + 4 * FEED_FORWARD_MACS,  # nor attention in one piece
    ),
    "embeddings": Group(
        TOKENS,
        {
            "plain": lambda: nn.Embedding(20, 8),
            "padded": lambda: nn.Embedding(20, 8, padding_idx=0),
            "mean": lambda: Written(lambda x, e: e(x).mean(1), e=nn.Embedding(20, 8)),
            "positions": lambda: Written(
                lambda x, e, p: e(x) + p(torch.arange(x.shape[1])), e=nn.Embedding(20, 8), p=nn.Embedding(12, 8)
            ),
            "one_hot": lambda: Written(lambda x, c: c(F.one_hot(x, 20).float()), c=nn.Linear(20, 4)),
            "masked_mean": lambda: Written(
                lambda x, e: (e(x) * (x > 0)[..., None]).sum(1) / (x > 0).sum(1, True), e=nn.Embedding(20, 8)
            ),
        },
        beside=("weight",),  # of tables; the linear layer's is counted by hand
        macs=6 * 20 * 4,
    ),
    "products": Group(
        SEQUENCE,
        {
            "linear": lambda: nn.Linear(8, 3),
            "no_bias": lambda: nn.Linear(8, 3, bias=False),
            "twice": lambda: Written(lambda x, c: c(c(x)), c=nn.Linear(8, 8)),
            "left": lambda: Written(lambda x, w: w @ x, w=matrix(3, 5)),
            "right": lambda: Written(lambda x, w: x @ w, w=matrix(8, 3)),
            "stack": lambda: Written(lambda x, w: x.reshape(-1, 2, 5, 4) @ w, w=matrix(2, 4, 3)),
            "left_stack": lambda: Written(lambda x, w: w @ x.reshape(-1, 2, 4, 5), w=matrix(2, 3, 4)),
            "chunks": lambda: Written(lambda x, c: torch.mul(*c(x).chunk(2, -1)), c=nn.Linear(8, 6)),
            "packed": lambda: Written(
                lambda x, w: torch.cat([F.linear(x, piece) for piece in w.split([2, 4])], -1), w=matrix(6, 8)
            ),
            "tensordot": lambda: Written(lambda x, w: torch.tensordot(x, w, dims=([2], [0])), w=matrix(8, 3)),
            "inner": lambda: Written(lambda x, w: torch.inner(x, w), w=matrix(3, 8)),
            "masked": lambda: Written(lambda x, w: F.linear(x, w * (w.abs() > 0)), w=matrix(3, 8)),
            "of_activations": lambda: Written(lambda x, c: torch.bmm(c(x), x.transpose(1, 2)), c=nn.Linear(8, 8)),
            "einsum": lambda: Written(lambda x, w: torch.einsum("bsi,io->bos", x, w), w=matrix(8, 3)),
            "einsum_heads": lambda: Written(lambda x, w: torch.einsum("bsi,ihd->bhsd", x, w), w=matrix(8, 2, 4)),
            "einsum_stack": lambda: Written(lambda x, w: torch.einsum("bsi,sio->bso", x, w), w=matrix(5, 8, 3)),
            "einsum_dots": lambda: Written(lambda x, w: torch.einsum("...i,oi->...o", x, w), w=matrix(3, 8)),
            "einsum_of_activations": lambda: Written(
                lambda x, c: torch.einsum("bqk,bkd->bqd", torch.einsum("bqd,bkd->bqk", x, x).softmax(-1), c(x)),
                c=nn.Linear(8, 8),
            ),
        },
    ),
    "products of vectors": Group(
        VECTOR,
        {
            "linear": lambda: nn.Linear(8, 3),
            "addmm": lambda: Written(lambda x, w, b: torch.addmm(b, x, w), w=matrix(8, 3), b=matrix(3)),
            "bilinear": lambda: Written(lambda x, c: c(x, 2 * x), c=nn.Bilinear(8, 8, 3)),
            "spectral": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(8, 3)),
            "relu_of_halves": lambda: Written(
                lambda x, c: (lambda a, b: a * b.sigmoid())(*c(x).split(4, 1)), c=nn.Linear(8, 8)
            ),
        },
        macs=3 * 8 * 3 + (8 * 8 * 3 + 8 * 3) + 8 * 8,  # nor the bilinear layer
    ),
    "cutting": Group(
        VECTOR,
        functions(
            chunk=lambda x: torch.cat([each * i for i, each in enumerate(x.chunk(3, 1), 1)], 1),
            split=lambda x: torch.cat(x.split([3, 5], 1)[::-1], 1),
            split_evenly=lambda x: sum(x.split(2, 1)),
            tensor_split=lambda x: torch.cat(torch.tensor_split(x, 3, 1)[::-1], 1),
            unbind=lambda x: x.unbind(1)[0][:, None],
            narrow=lambda x: x.narrow(1, 2, 3),
            index=lambda x: x[:, [0, 2, 4]],
            index_select=lambda x: x.index_select(1, torch.tensor([2, 0, 1])),
            gather=lambda x: x.gather(1, x.argsort(1)),
            topk=lambda x: x.topk(3, 1)[0],
            sort=lambda x: x.sort(1)[0],
            hard_topk=lambda x: x * (x >= x.topk(3, 1)[0][:, -1:]),
            unfold=lambda x: x.unfold(1, 3, 1),
            pad_less=lambda x: F.pad(x, (-1, -1)),
        ),
    ),
    "joining": Group(
        VECTOR,
        functions(
            cat=lambda x: torch.cat([x, x], 1),
            stack=lambda x: torch.stack([x, 2 * x], 1),
            repeat=lambda x: x.repeat(1, 2),
            repeat_interleave=lambda x: x.repeat_interleave(2, 1),
            tile=lambda x: x.tile(1, 3),
            roll=lambda x: x.roll(1, 1),
            flip=lambda x: x.flip(1),
            zeros=lambda x: torch.cat([x, torch.zeros(x.shape[0], 2)], 1),
            ones=lambda x: torch.cat([x, x.new_ones(x.shape[0], 1)], 1),
            full_like=lambda x: x + torch.full_like(x, 2.0),
            scatter=lambda x: torch.zeros_like(x).scatter(1, x.argmax(1, keepdim=True), 1.0),
            scatter_add=lambda x: torch.zeros_like(x).scatter_add(1, x.argmax(1, keepdim=True), x[:, :1]),
            index_add=lambda x: x.index_add(1, torch.tensor([0, 1]), x[:, :2]),
            set_slice=set_slice,
            diag_embed=torch.diag_embed,
            outer=lambda x: x[:, :, None] * x[:, None],
            pad=lambda x: F.pad(x, (1, 1), value=3.0),
        ),
    ),
    "shapes": Group(
        SEQUENCE,
        functions(
            transpose=lambda x: x.transpose(1, 2),
            view=lambda x: x.view(-1, 5, 2, 4),
            view_of_sizes=lambda x: x.view(x.size(0), x.size(2), x.size(1)),
            unflatten=lambda x: x.unflatten(2, (2, 4)),
            squeeze=lambda x: x[:, :1].squeeze(1),
            unsqueeze=lambda x: x.unsqueeze(2),
            expand=lambda x: x[:, :1].expand(-1, 5, -1),
            expand_as=lambda x: x[:, :1].expand_as(x),
            movedim=lambda x: x.movedim(1, 2),
            unbind=lambda x: x.unbind(1)[0] + x.unbind(1)[2],
            tril=lambda x: x.tril(),
            triu=lambda x: x.triu(1),
            diagonal=lambda x: x[:, :, :5].diagonal(dim1=1, dim2=2),
            positions=lambda x: x + torch.arange(x.shape[1])[:, None],
            rotate=rotate,
        )
        | {
            "class_token": lambda: Written(
                lambda x, t: torch.cat([t.expand(x.shape[0], -1, -1), x], 1), t=matrix(1, 1, 8)
            )
        },
        beside=("t",),
    ),
    "images": Group(
        IMAGE,
        functions(
            pixel_shuffle=lambda x: F.pixel_shuffle(x, 2),
            pixel_unshuffle=lambda x: F.pixel_unshuffle(x, 2),
            channel_shuffle=lambda x: F.channel_shuffle(x, 2),
            nearest=lambda x: F.interpolate(x, scale_factor=2),
            bilinear=lambda x: F.interpolate(x, size=(12, 12), mode="bilinear"),
            corners=lambda x: F.interpolate(x, size=(12, 12), mode="bilinear", align_corners=True),
            bicubic=lambda x: F.interpolate(x, size=(12, 12), mode="bicubic"),
            area=lambda x: F.interpolate(x, size=(4, 4), mode="area"),
            pad=lambda x: F.pad(x, (1, 2, 0, 1)),
            reflect=lambda x: F.pad(x, (1, 2, 1, 1), mode="reflect"),
            replicate=lambda x: F.pad(x, (1, 2, 1, 1), mode="replicate"),
            circular=lambda x: F.pad(x, (1, 2, 1, 1), mode="circular"),
            roll=lambda x: x.roll((1, 2), (2, 3)),
            rot90=lambda x: x.rot90(1, [2, 3]),
            permute=lambda x: x.permute(0, 2, 3, 1),
            slice=lambda x: x[:, :, ::2, 1::2],
            patches=lambda x: F.unfold(x, 3),
            fold=lambda x: F.fold(F.unfold(x, 2, stride=2), (8, 8), 2, stride=2),
            windows=lambda x: x.view(-1, 4, 2, 4, 2, 4).permute(0, 2, 4, 1, 3, 5).reshape(x.shape[0], -1),
            grid_sample=lambda x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1).tanh(), align_corners=False),
        )
        | {
            "excite": lambda: Written(
                lambda x, c: x * c(x.mean((2, 3))).sigmoid()[:, :, None, None], c=nn.Linear(4, 4)
            ),
            "standardised": lambda: Written(
                lambda x, w: F.conv2d(x, w / w.std((1, 2, 3), keepdim=True)), w=matrix(6, 4, 3, 3)
            ),
        },
    ),
    "reductions": Group(
        SEQUENCE,
        functions(
            mean=lambda x: x.mean(1),
            sum=lambda x: x.sum(1),
            var=lambda x: x.var(1),
            std=lambda x: x.std(1),
            prod=lambda x: x.prod(1),
            norm=lambda x: x.norm(dim=1),
            logsumexp=lambda x: x.logsumexp(1),
            amax=lambda x: x.amax(2),
            max=lambda x: x.max(1)[0],
            argmax=lambda x: x.argmax(1),
            any=lambda x: (x > 0).any(1),
            all=lambda x: (x > 0).all(1),
            cumsum=lambda x: x.cumsum(1),
            cosine=lambda x: F.cosine_similarity(x, x * x, dim=2),
            distance=lambda x: F.pairwise_distance(x, x * x),
            diff=lambda x: x.diff(dim=1),
        ),
    ),
    "arithmetic": Group(
        VECTOR,
        functions(
            power=lambda x: x.abs() ** 2.5,
            roots=lambda x: x.abs().sqrt() + (x.abs() + 1).rsqrt(),
            logarithms=lambda x: (x.abs() + 1).log() + x.abs().log1p() + (x.abs() + 1).log2(),
            exponentials=lambda x: x.exp() + x.expm1(),
            angles=lambda x: x.sin() + x.cos() + x.atan() + (x / 4).tanh().asin() + x.sinh() + x.cosh(),
            rounding=lambda x: x.floor() + x.ceil() + x.round() + x.trunc() + x.frac(),
            remainders=lambda x: x % 2 + x.fmod(2) + x // 2,
            clamp=lambda x: x.clamp(-1, 1) + x.clamp(min=0),
            least=lambda x: torch.maximum(x, -x) + torch.minimum(x, 2 * x),
            where=lambda x: torch.where(x > 0, x, -0.1 * x),
            masked_fill=lambda x: x.masked_fill(x < 0, 0.5),
            logic=lambda x: ((x > 0) & ~(x > 1) | (x < -1) ^ (x == 0)).float() + (x >= 0) + (x <= 1) + (x != 0),
            signs=lambda x: x.sign() + x.abs() - x,
            mixes=lambda x: torch.addcmul(x, x, x) + torch.lerp(x, 2 * x, 0.3) + torch.logaddexp(x, 2 * x),
            erf=lambda x: x.erf() + x.sigmoid().logit(),
            numbers=lambda x: torch.nan_to_num(x) + torch.isnan(x),
            casts=lambda x: x.half().float() + (2 * x.double()).float() + x.int(),
            bucketize=lambda x: torch.bucketize(x, torch.tensor([-1.0, 0.0, 1.0])),
        ),
    ),
}

# name → (module, input's shape, rule, what the message says)
REFUSED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str, str]] = {
    "hstack": (lambda: Written(lambda x: torch.hstack([x, x])), VECTOR, "operator_not_allowed", "torch.cat"),
    "bag": (lambda: nn.EmbeddingBag(20, 8), TOKENS, "operator_not_allowed", "nn.Embedding"),
    "max_norm": (
        lambda: nn.Embedding(20, 8, max_norm=1.0),
        TOKENS,
        "operator_not_allowed",
        "torch.where",
    ),
    "random": (lambda: Written(lambda x: x + torch.rand_like(x)), VECTOR, "operator_not_allowed", "self.training"),
    "fft": (lambda: Written(lambda x: torch.fft.rfft(x).abs()), VECTOR, "operator_not_allowed", "transform's matrix"),
    "bits": (lambda: Written(lambda x: (x.int() & 3).float()), VECTOR, "operator_not_allowed", "codes of 8 bits"),
    "nonzero": (
        lambda: Written(lambda x: x * (x > 0).nonzero().shape[0]),
        VECTOR,
        "operator_not_allowed",
        "torch.where",
    ),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2), (2, 4, 4, 4), "not_countable", "1-D and 2-D"),
    "made_weights": (
        lambda: Written(lambda x, w: F.conv2d(x, w * x.mean()), w=matrix(6, 4, 3, 3)),
        IMAGE,
        "not_countable",
        "depend on the input",
    ),
    "rrelu": (nn.RReLU, VECTOR, "not_exportable", "nn.LeakyReLU"),
    "adaptive_max": (lambda: nn.AdaptiveMaxPool2d(3), IMAGE, "not_exportable", "nn.MaxPool2d"),
    "projected_lstm": (recurrent(nn.LSTM, proj_size=3), SEQUENCE, "not_exportable", "an `nn.Linear`"),
    "cdist": (lambda: Written(lambda x: torch.cdist(x, x)), SEQUENCE, "not_exportable", "a product"),
}
