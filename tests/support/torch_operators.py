"""Operators that torch offers for networks, by kind, and what is refused on purpose."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch_layers import LAYERS
from torch_modules import (
    IMAGE,
    SEQUENCE,
    TOKENS,
    VECTOR,
    Group,
    Written,
    functions,
    matrix,
    recurrent,
    rotate,
    set_slice,
)

OPERATORS: dict[str, Group] = {
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
GROUPS = LAYERS | OPERATORS

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
    "kthvalue": (lambda: Written(lambda x: torch.kthvalue(x, 2, -1)[0]), SEQUENCE, "not_exportable", "`topk`"),
    "stable_sort": (
        lambda: Written(lambda x: torch.sort(x, stable=True)[0]),
        VECTOR,
        "not_exportable",
        "without `stable`",
    ),
    "attention_without_heads": (
        lambda: Written(lambda x: F.scaled_dot_product_attention(x, x, x)),
        SEQUENCE,
        "not_exportable",
        "a head of its own",
    ),
    "divisor": (lambda: nn.AvgPool2d(2, divisor_override=3), IMAGE, "not_exportable", "in plain steps"),
}
