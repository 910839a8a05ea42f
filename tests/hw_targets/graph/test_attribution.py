"""Every stored number is attributed: what torch exports is counted in full, and what hides weights is found out."""

from __future__ import annotations

import pytest
import torch
from onnx import helper
from rewriting import numbers_stored
from torch import nn

from harness.entries.export import export_onnx
from hw_targets.graph.weights import removed_fraction, sizes

node = helper.make_node
D = 16


class Head(nn.Module):
    """Something over `[n, tokens, d]`, then a linear layer."""

    def __init__(self, width=D, classes=26):
        super().__init__()
        self.fc = nn.Linear(width, classes)

    def forward(self, x):
        return self.fc(self.mix(x).mean(1))


class ThreeInputs(Head):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(D, 2, batch_first=True)

    def mix(self, x):
        return self.attention(x, x.flip(1), x * 2, need_weights=False)[0]


class TwoInputs(ThreeInputs):
    def mix(self, x):
        return self.attention(x, x.flip(1), x.flip(1), need_weights=False)[0]


class SelfAttention(ThreeInputs):
    def mix(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class Packed(Head):
    """One parameter of 60 × 32, read in three pieces."""

    def __init__(self):
        super().__init__(20, 4)
        self.packed = nn.Parameter(torch.randn(60, 32))

    def mix(self, x):
        q, k, v = self.pieces(x)
        return (x @ q.T) * torch.sigmoid(x @ k.T) + x @ v.T


class Chunked(Packed):
    def pieces(self, x):
        return self.packed.chunk(3)


class Unbound(Packed):
    def pieces(self, x):
        return self.packed.view(3, 20, 32).unbind(0)


class BoundedByAShape(Packed):
    def pieces(self, x):
        d = x.shape[-1] - 12
        return self.packed[:d], self.packed[d : 2 * d], self.packed[2 * d :]


class Lstm(Head):
    def __init__(self):
        super().__init__(8, 4)
        self.lstm = nn.LSTM(D, 8, batch_first=True)

    def mix(self, x):
        return self.lstm(x)[0]


class WeightNorm(Head):
    def __init__(self):
        super().__init__(D, 4)
        self.fc = nn.utils.parametrizations.weight_norm(self.fc)

    def mix(self, x):
        return x


class Tied(nn.Module):
    """Token ids `[n, tokens]`; the table of the embedding is the last layer's weight."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(30, D)
        self.positions = nn.Parameter(torch.randn(5, D))

    def forward(self, ids):
        return (self.table(ids) + self.positions).mean(1) @ self.table.weight.T


@pytest.mark.parametrize(
    ("module", "width", "weights"),
    [
        (SelfAttention, D, 1440),
        (TwoInputs, D, 1440),
        (ThreeInputs, D, 1440),  # 928 as long as pieces of one tensor were taken for one weight used again
        (Chunked, 32, 1920 + 80),
        (Unbound, 32, 1920 + 80),
        (BoundedByAShape, 32, 1920 + 80),
        (Lstm, D, 4 * 8 * (D + 8) + 32),
        (WeightNorm, D, D * 4),
    ],
)
def test_what_torch_exports_is_counted_in_full(module, width, weights):
    model = module().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter)  # a bias of zeros would be left out
    exported = export_onnx(model, torch.randn(2, 5, width))
    size = sizes(exported)
    assert (size.weights, size.nonzero) == (weights, weights)
    held = sum(p.numel() for p in model.parameters()) - (4 if module is WeightNorm else 0)
    assert held <= size.parameters <= held + 2  # and the scale of each of attention's factors
    assert not size.unattributed and size.numbers.unused == 0
    assert size.numbers.stored == numbers_stored(exported)
    assert removed_fraction(size, size) == 0


def test_a_table_that_is_multiplied_by_is_a_weight():
    size = sizes(export_onnx(Tied().eval(), torch.zeros(2, 5, dtype=torch.int64)))
    assert (size.weights, size.tables, size.numbers.layers) == (30 * D, 0, 30 * D)
    assert size.others == 5 * D


def test_rotary_and_masking_terms_count_as_kept_in_both():
    class Rotary(ThreeInputs):
        def __init__(self):
            super().__init__()
            angles = torch.arange(5.0)[:, None] * torch.arange(1.0, D + 1)
            self.register_buffer("cos", angles.cos())
            self.register_buffer("mask", torch.full((5, 5), -1e9).triu(1))
            self.q, self.k = nn.Linear(D, D), nn.Linear(D, D)

        def mix(self, x):
            scores = (self.q(x) * self.cos) @ (self.k(x) * self.cos).transpose(1, 2) + self.mask
            return torch.softmax(scores, -1) @ x

    exported = export_onnx(Rotary().eval(), torch.randn(2, 5, D))
    size = sizes(exported)
    assert dict(size.unattributed) == {"cos": 5 * D, "mask": 25}
    assert size.numbers.unattributed == 5 * D + 25 and size.numbers.stored == numbers_stored(exported)
    assert removed_fraction(size, size) == 0
