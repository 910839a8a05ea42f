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
from torch import fx, nn

from pruning.criteria.batches import Batches, device_of
from pruning.layers import LAYERS, Layer
from pruning.quantise.attention import with_projections
from pruning.quantise.grid import (
    GREATEST,
    LEAST,
    LEAST_SCALE,
    affine_grid,
    along_outputs,
    fake_quantise,
    largest_code,
    scale_for_bias,
    symmetric_scale,
    to_codes,
)
from pruning.quantise.network import calibrated, weights_elsewhere
from pruning.quantise.onnx_operators import onnx_operator
from pruning.quantise.operators import bare_name, upper_bound
from pruning.quantise.placing import MOVED, NO_STEP, input_quantiser
from pruning.quantise.ranges import Calibration, MinMax
from pruning.quantise.rows import in_rows
from pruning.quantise.storage import Bits, bits_per_layer, decoder, layer_of, store
from pruning.quantise.tracing import shape_of

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


class IntegerWeight(nn.Module):
    """The way from a scale to a weight or a bias: `scale · codes`.

    Args:
        codes: int8 (a weight) or int32 (a bias), in its shape `[out, …]`; the scale is `[out]` or `[]`.
        zero_point: zeros in the scale's shape; ONNX Runtime (1.31) does without integers for a Gemm
            where they are not written out.
    """

    codes: torch.Tensor
    zero_point: torch.Tensor | None

    def __init__(self, codes: torch.Tensor, zero_point: torch.Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("codes", codes)
        self.register_buffer("zero_point", zero_point)

    def forward(self, scale: torch.Tensor) -> torch.Tensor:
        if torch.onnx.is_in_onnx_export():
            axis = {"axis": 0} if scale.ndim else {}
            zero_point = () if self.zero_point is None else (self.zero_point,)
            return onnx_operator("DequantizeLinear", (self.codes, scale, *zero_point), torch.float32, axis)
        return self.codes.to(scale.dtype) * along_outputs(scale, self.codes.ndim)


class Quantiser(nn.Module):
    """Rounds activations to 8 bits.

    Args:
        scale: float32 `[]`.
        zero_point: the code of zero, a whole number in 0…255, `[]`.
    """

    scale: torch.Tensor
    zero_point: torch.Tensor

    def __init__(self, scale: torch.Tensor, zero_point: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("zero_point", zero_point.detach().to(torch.uint8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.onnx.is_in_onnx_export():
            codes = onnx_operator("QuantizeLinear", (x, self.scale, self.zero_point), torch.uint8)
            return onnx_operator("DequantizeLinear", (codes, self.scale, self.zero_point), torch.float32)
        return fake_quantise(x, self.scale, self.zero_point, LEAST, GREATEST)


def hold_integers(
    layer: Layer, weight: torch.Tensor, bits: int, *, per_channel: bool, input_scale: torch.Tensor | None = None
) -> None:
    """Replace what `layer` stores by the codes and the scale of a float `weight`, in place.

    Args:
        input_scale: the step of the layer's input, which is rounded. With it the bias becomes int32,
            and no scale is trained any more, since that of the bias is bound to the others.
    """
    scale = symmetric_scale(weight, bits, per_channel=per_channel)
    bias = layer.bias.detach() if layer.bias is not None else None
    if input_scale is not None:
        scale = scale if bias is None else scale_for_bias(scale, weight, bias, input_scale)
        if isinstance(layer, nn.Linear):
            in_rows(layer)
    limit = largest_code(bits)
    codes = to_codes(weight.detach(), along_outputs(scale, weight.ndim), 0, -limit, limit)
    zero_point = None if input_scale is None else torch.zeros_like(scale, dtype=torch.int8)
    store(layer, scale, IntegerWeight(codes.to(torch.int8), zero_point))
    if input_scale is None:
        return
    if bias is not None:
        step = (scale * input_scale).clamp(min=LEAST_SCALE)
        store(layer, step, IntegerWeight(torch.round(bias / step).to(torch.int32)), of="bias")
    for stored in layer.parameters():
        stored.requires_grad_(False)


def input_scale(model: nn.Module, name: str) -> torch.Tensor:
    """The step of a layer's input, which is rounded."""
    quantiser = input_quantiser(model, name)
    assert isinstance(quantiser, Quantiser)
    return quantiser.scale


def finished(model: nn.Module) -> nn.Module:
    """Write a rounded network so that runtimes see integers everywhere; it computes the same.

    What was only moved passes its quantiser again, and activations go where the grid behind them
    cuts off by itself what they would: its least code is zero, and its greatest no more than their end.
    """
    if not isinstance(model, fx.GraphModule):
        return model
    graph = model.graph
    for node in list(graph.nodes):
        if MOVED in node.meta and shape_of(node) is not None and bare_name(model, node) not in NO_STEP:
            with graph.inserting_after(node):
                call = graph.call_module(node.meta[MOVED], (node,))
            node.replace_all_uses_with(call, delete_user_cb=lambda user, own=call: user is not own)
        quantiser = model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(quantiser, Quantiser):
            _drop_activation(model, node, quantiser)
    graph.lint()
    model.recompile()
    return model


def _drop_activation(model: fx.GraphModule, call: fx.Node, quantiser: Quantiser) -> None:
    activation = call.args[0]
    assert isinstance(activation, fx.Node)
    end = upper_bound(model, activation)
    if end is None or len(activation.users) > 1 or int(quantiser.zero_point) != LEAST:
        return
    if float(quantiser.scale) * GREATEST <= end * (1 + 1e-6):
        call.update_arg(0, activation.args[0])
        model.graph.erase_node(activation)
