"""Layers that torch offers for networks, by kind: norms, convolutions, recurrent layers, attention, products."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch_modules import (
    ATTENTION_MACS,
    CROSS_MACS,
    FEED_FORWARD_MACS,
    IMAGE,
    NARROW_MACS,
    SEQUENCE,
    SIGNAL,
    TOKENS,
    VECTOR,
    Group,
    Written,
    attend,
    attend_to,
    attention,
    causal,
    functions,
    matrix,
    modules,
    norm_first_encoder,
    recurrent_macs,
    recurrent_members,
)

LAYERS: dict[str, Group] = {
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
            "einsum_of_one": lambda: Written(
                lambda x, c: torch.einsum("bsi->bis", c(x)) + torch.einsum("bsi->bi", x)[:, :3, None], c=nn.Linear(8, 3)
            ),
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
}
