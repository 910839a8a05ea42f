"""MobileNetV2's widths, and its one layer that stays in float32."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.models.mobilenetv2_cifar import MobileNetV2Cifar, StridedDepthwise, rounded_to_eight


@given(st.floats(1, 4000))
def test_channels_are_multiples_of_eight_and_lose_no_tenth(channels):
    rounded = rounded_to_eight(channels)
    assert rounded % 8 == 0 and rounded >= max(8, 0.9 * channels)
    assert rounded <= max(8, channels + 8)


def test_half_the_width_has_the_papers_channels_halved():
    projections = [block.project.out_channels for block in MobileNetV2Cifar(0.5).blocks]
    assert projections == [8, *[16] * 2, *[16] * 3, *[32] * 4, *[48] * 3, *[80] * 3, 160]
    assert MobileNetV2Cifar(0.5).head[0].out_channels == 1280  # the last layer is not made narrower


def test_a_strided_depthwise_convolution_is_the_plain_one_in_float32():
    torch.manual_seed(0)
    layer = StridedDepthwise(6, 6, 3, 2, 1, groups=6)
    x = torch.randn(2, 6, 8, 8)
    plain = torch.nn.functional.conv2d(x, layer.weight, layer.bias, 2, 1, groups=6)
    assert torch.equal(layer(x), plain)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = layer(x)
        assert layer(x.bfloat16()).dtype == torch.float32
    assert under_autocast.dtype == torch.float32 and torch.equal(under_autocast, plain)
