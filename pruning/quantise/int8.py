"""Eight-bit integers in place of floats, after training.

A weight is rounded to the nearest of 2·127 + 1 steps that reach its largest value, on a scale for
each output or one for all (Krishnamoorthi 2018, arXiv 1806.08342). With sample data the network
becomes one of integer arithmetic (Jacob et al. 2018, arXiv 1712.05877, section 2): batch norms are
folded, what flows between the layers has 8 bits (`placing`), and a bias is an integer of 32 bits on
the product of its input's scale and its weight's, so that a runtime adds it to sums of products
as it is.

In ONNX weights and biases are int8 and int32 with `DequantizeLinear` behind them, and a value passes
`QuantizeLinear` and `DequantizeLinear`; runtimes make integer operators of layers between these.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from pruning.criteria.batches import Batches, device_of
from pruning.layers import LAYERS
from pruning.quantise.attention import with_projections
from pruning.quantise.finishing import finished
from pruning.quantise.grid import affine_grid
from pruning.quantise.integers import IntegerWeight, Quantiser, hold_integers, input_scale
from pruning.quantise.network import calibrated, weights_elsewhere
from pruning.quantise.placing import input_quantiser
from pruning.quantise.ranges import Calibration, MinMax
from pruning.quantise.storage import Bits, bits_per_layer, decoder, layer_of

MIN_MAX = MinMax()
ROUNDS_INPUT = "rounds_input"  # an attribute of layers that round their inputs themselves


def to_int8(
    model: nn.Module,
    bits: Bits = 8,
    *,
    per_channel: bool = True,
    data: Batches | None = None,
    calibration: Calibration = MIN_MAX,
) -> nn.Module:
    """A copy of `model` whose convolutions and linear layers hold integer weights.

    A weight is off by half a step at most; zeros stay zero. Without data, training moves the scales
    alone. With data the copy is a `torch.fx.GraphModule`, in which layers keep their names and batch
    norms behind them are gone; it is for use, not for training (see `qat` for that).

    Args:
        bits: of a weight, 2 to 8, for all layers or by layer (see `storage.bits_per_layer`); stored
            in 8. Choose 7 for x86 processors without VNNI (before Ice Lake and Zen 4, most of them):
            they add two products in 16 bits, which 8-bit weights would saturate.
        per_channel: a scale for each output (filter, row) in place of one for the layer.
        data: batches of `(inputs, labels)` to calibrate by, for integers between the layers too, of
            8 bits. Without data weights alone.
        calibration: how values become a range.

    What cannot be in integers stays in floats, with a warning that names it; `layers_in_floats` tells later.

    Raises:
        ValueError: `bits` do not fit the model, a weight cannot be replaced, or the data has no batch
            or gives values that are not finite.
    """
    model = with_projections(model)
    widths = bits_per_layer(model, bits, least=2)
    if data is None:
        small = copy.deepcopy(model)
        for name, width in widths.items():
            layer = layer_of(small, name)
            hold_integers(layer, layer.weight, width, per_channel=per_channel)
        return small
    network = calibrated(model, widths, data, calibration)
    for name, (low, high) in network.ranges.items():
        scale, zero_point = affine_grid(torch.tensor(low), torch.tensor(high))
        quantiser = Quantiser(scale, zero_point)
        network.model.set_submodule(name, quantiser.to(device_of(model)))
    for name, width in network.layers.items():
        layer = layer_of(network.model, name)
        step = input_scale(network.model, name)
        hold_integers(layer, layer.weight, width, per_channel=per_channel, input_scale=step)
    return finished(network.model)


def layers_in_floats(model: nn.Module) -> dict[str, str]:
    """What of a quantised model still multiplies floats: layer, or weight that belongs to none → why.

    A layer counts as one of integers if its weight is, and its input is rounded.
    """
    floats = {}
    for name, layer in model.named_modules():
        if not isinstance(layer, LAYERS):
            continue
        if not isinstance(decoder(layer), IntegerWeight):
            floats[name] = "its weight is no integer"
        elif not (isinstance(input_quantiser(model, name), Quantiser) or hasattr(layer, ROUNDS_INPUT)):
            floats[name] = "its input is not rounded"
    return floats | weights_elsewhere(model)
