"""PyTorch's attention with projections of its own: the same numbers, and every weight in an integer product."""

from __future__ import annotations

import copy
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from harness.entries.export import export_onnx
from hw_targets.cpu.optimised import arithmetic
from hw_targets.cpu.settings import CpuOptions
from hw_targets.graph.weights import sizes
from pruning.mask import Mask
from pruning.quantise import floats_left, quantise_aware, to_dynamic_int8, to_int8
from pruning.quantise.attention import ProjectedAttention, with_projections

WIDTH, HEADS = 8, 2


@pytest.mark.parametrize(
    "options", [{}, {"batch_first": True}, {"bias": False}, {"kdim": 6, "vdim": 5, "batch_first": True}]
)
@pytest.mark.parametrize("masks", [None, "padding", "additive", "for each head"])
@pytest.mark.parametrize("batched", [True, False])
def test_it_computes_what_pytorch_s_does(options, masks, batched):
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(WIDTH, HEADS, **options).eval()
    with torch.no_grad():
        for parameter in attention.parameters():  # biases are zero at first
            parameter.normal_()
    n, length, keys = 3, 4, 5

    def values(steps: int, width: int) -> torch.Tensor:
        shape = (n, steps, width) if options.get("batch_first") or not batched else (steps, n, width)
        return torch.randn(shape) if batched else torch.randn(shape)[0]

    inputs = (values(length, WIDTH), values(keys, options.get("kdim", WIDTH)), values(keys, options.get("vdim", WIDTH)))
    given = {}
    if masks == "padding":
        padding = torch.arange(keys) >= torch.tensor([[3], [5], [1]])
        given = {"key_padding_mask": padding if batched else padding[0]}
    elif masks == "additive":
        given = {"attn_mask": torch.randn(length, keys)}
    elif masks == "for each head":
        given = {"attn_mask": torch.rand((n if batched else 1) * HEADS, length, keys) < 0.3}
        given["attn_mask"][..., 0] = False  # a row must see something
    projected = with_projections(nn.ModuleList([attention]))[0].eval()
    assert isinstance(projected, ProjectedAttention)
    for how in ({}, {"average_attn_weights": False}, {"need_weights": False}):
        expected, found = attention(*inputs, **given, **how), projected(*inputs, **given, **how)
        torch.testing.assert_close(found[0], expected[0])
        assert (found[1] is None) == (expected[1] is None)
        if expected[1] is not None:
            torch.testing.assert_close(found[1], expected[1])


class Encoder(nn.Module):
    """Two layers that know of padding: a step is one where its first number is below −1."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=True, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=True)
        self.last = nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.encoder(x, src_key_padding_mask=x[:, :, 0] < -1).mean(1))


@pytest.fixture
def model() -> Encoder:
    torch.manual_seed(0)
    made = Encoder().eval()
    for parameter in made.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return made


@pytest.fixture
def x() -> torch.Tensor:
    values = torch.randn(16, 5, WIDTH, generator=torch.Generator().manual_seed(1))
    values[:, 0, 0] = 1  # the first step counts
    return values


@torch.no_grad()
def test_an_encoder_keeps_its_numbers_and_its_old_self(model, x):
    state, plain = copy.deepcopy(model.state_dict()), with_projections(model)
    with torch.enable_grad():  # where PyTorch's layers are called one by one
        torch.testing.assert_close(plain(x), model(x))
    torch.testing.assert_close(plain(x), model(x), atol=1e-5, rtol=1e-4)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.encoder.use_nested_tensor and not plain.encoder.use_nested_tensor
    assert with_projections(plain) is plain
    odd = nn.ModuleList([nn.MultiheadAttention(WIDTH, HEADS, add_bias_kv=True)])
    assert with_projections(odd) is odd and list(floats_left(odd)) == ["0", "0.out_proj"]


@pytest.mark.parametrize("way", ["static", "dynamic"])
def test_every_projection_runs_in_integers(model, x, way):
    small = to_int8(model, data=[(x, None)]) if way == "static" else to_dynamic_int8(model)
    exported = export_onnx(copy.deepcopy(small), x)
    found = arithmetic(exported, CpuOptions())
    kinds = Counter(found.values())
    assert kinds == {"int8": 6 * 2 + 1, "float32": 2 * 2}  # what is left are products of two activations
    assert {name for name in found if "self_attn" in name and found[name] == "int8"} == {
        f"encoder.layers.{layer}.self_attn.{each}" for layer in (0, 1) for each in ("query", "key", "value", "out_proj")
    }
    with torch.no_grad():
        assert float((small(x) - model(x)).abs().max()) < 0.2
    assert sizes(exported).weights == sizes(export_onnx(copy.deepcopy(model), x)).weights


def test_a_mask_goes_along_into_training(model, x):
    keep = torch.arange(3 * WIDTH * WIDTH).reshape(3 * WIDTH, WIDTH) % 3 == 0
    name = "encoder.layers.0.self_attn.in_proj_weight"
    mask = Mask({name: keep, "last.weight": torch.arange(24).reshape(3, 8) % 2 == 0})
    seen = {}

    def train(prepared, *, epochs, learning_rate, mask):
        seen.update(mask.items())
        return prepared

    small = quantise_aware(model, train=train, epochs=1, data=[(x, None)], mask=mask)
    attention = small.get_submodule("encoder.layers.0.self_attn")
    weights = torch.cat([attention.query.weight, attention.key.weight, attention.value.weight])
    assert not bool(weights[~keep].any()) and bool(weights[keep].any()) and len(seen) == 4
    assert np.array_equal(small.last.weight.detach() == 0, ~mask["last.weight"])
