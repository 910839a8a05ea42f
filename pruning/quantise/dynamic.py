"""Linear layers that multiply integers, whose inputs are rounded as they come: dynamic quantisation.

Weights are rounded beforehand, as by `int8.to_int8`: on a scale for each output, zero to zero. A
layer's input is rounded on the range that it has at that moment, in place of a calibrated one (Jacob
et al. 2018, arXiv 1712.05877, section 2.1, has the arithmetic): no data is needed, and no value is
cut off. What flows between the layers stays in floats. The range is that of the whole batch, as
ONNX defines `DynamicQuantizeLinear`, so that an answer depends a little on what else is in its batch.

In ONNX a layer is `DynamicQuantizeLinear → MatMulInteger → Cast → Mul → Add`. ONNX Runtime makes one
`DynamicQuantizeMatMul` of it, or a `MatMulIntegerToFloat` for each of several layers with one input.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from pruning.layers import CONVOLUTIONS, LAYERS
from pruning.quantise.attention import with_projections
from pruning.quantise.grid import GREATEST, LEAST, affine_grid, fake_quantise
from pruning.quantise.integers import IntegerWeight, hold_integers
from pruning.quantise.network import WITHOUT_INTEGERS
from pruning.quantise.storage import Bits, bits_per_layer, decoder, stored_name


def to_dynamic_int8(model: nn.Module, bits: Bits = 8, *, per_channel: bool = True) -> nn.Module:
    """A copy of `model` whose linear layers multiply integers; all else stays in floats.

    So do convolutions, which want calibrated ranges (`int8.to_int8`), and linear layers that
    something else computes: `floats_left` names them. A weight is off by half a step at most; zeros
    stay zero. Trained on, it moves its scales and biases alone.

    Args:
        bits: of a weight, 2 to 8, for all linear layers or by layer (see `storage.bits_per_layer`);
            stored in 8. Choose 7 for x86 processors without VNNI: they add two products in 16 bits,
            which 8-bit weights would saturate.
        per_channel: a scale for each output in place of one for the layer.

    Raises:
        ValueError: there is no such linear layer, `bits` do not fit the model or name another layer,
            or a weight cannot be replaced.
    """
    model = with_projections(model)
    widths = bits_per_layer(model, _for_linear(model, bits), least=2)
    small = copy.deepcopy(model)
    for name, width in widths.items():
        layer = small.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        layer.__class__ = DynamicLinear  # in place: its hooks, and what else holds it, stay
        hold_integers(layer, layer.weight, width, per_channel=per_channel)
        layer.register_forward_pre_hook(_round_input)
    return small


def floats_left(model: nn.Module) -> dict[str, str]:
    """Layer → why `to_dynamic_int8` leaves it in floats, in the model's order."""
    layers = with_projections(model).named_modules()
    return {name: why for name, layer in layers if (why := _why_float(layer)) is not None}


class DynamicLinear(nn.Linear):
    """A linear layer with an `IntegerWeight`, made by `to_dynamic_int8`.

    In torch it multiplies rounded floats, in ONNX the integers that they stand for: the same numbers
    but for how sums of floats are rounded.
    """

    rounds_input = True  # for `int8.layers_in_floats`

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.onnx.is_in_onnx_export():
            return functional.linear(x, self.weight, self.bias)
        weight = decoder(self)
        assert isinstance(weight, IntegerWeight)
        codes, scale, zero_point = torch.onnx.ops.symbolic_multi_out(
            "DynamicQuantizeLinear",
            (x,),
            dtypes=(torch.uint8, torch.float32, torch.uint8),
            shapes=(x.shape, (), ()),
        )
        sums = torch.onnx.ops.symbolic(
            "MatMulInteger",
            (codes, weight.codes.t(), zero_point),
            dtype=torch.int32,
            shape=(*x.shape[:-1], self.out_features),
        )
        outputs = sums.to(torch.float32) * (scale * self.get_parameter(stored_name("weight")))
        return outputs if self.bias is None else outputs + self.bias


def _round_input(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """A hook, not a part of `forward`: `nn.TransformerEncoderLayer` calls its layers where they have hooks."""
    x = inputs[0]
    if torch.onnx.is_in_onnx_export():
        return inputs
    return (fake_quantise(x, *affine_grid(*torch.aminmax(x.detach())), LEAST, GREATEST), *inputs[1:])


def _for_linear(model: nn.Module, bits: Bits) -> dict[str, int]:
    """Name of each linear layer to quantise → its bits; what `bits` names and nothing can be done for is refused."""
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, LAYERS)}
    floats = floats_left(model)
    if not isinstance(bits, Mapping):
        chosen = {name: bits for name in layers if name not in floats}
        if not chosen:
            reasons = "".join(f" {name}: {why}." for name, why in floats.items())
            raise ValueError(f"No linear layer is left to quantise.{reasons}")
        return chosen
    for name in bits:
        if name in floats:
            raise ValueError(
                f"Bits are given for layer {name}, which dynamic quantisation leaves in floats: {floats[name]}."
            )
    if "conv" in bits and "conv" not in layers:
        raise ValueError("Bits are given for the kind 'conv': dynamic quantisation is of linear layers alone.")
    widths = bits_per_layer(model, bits, least=2)
    return {name: width for name, width in widths.items() if name not in floats}


def _why_float(layer: nn.Module) -> str | None:
    if isinstance(layer, CONVOLUTIONS):
        return "a convolution runs as integers with calibrated ranges alone"
    if isinstance(layer, WITHOUT_INTEGERS):
        return f"no integers for {type(layer).__name__}"
    if isinstance(layer, nn.MultiheadAttention):
        return "attention computes its projections itself"
    if isinstance(layer, nn.Linear) and isinstance(layer, nn.modules.linear.NonDynamicallyQuantizableLinear):
        return "attention computes its projections itself"
    if isinstance(layer, nn.Linear) and type(layer).forward is not nn.Linear.forward:
        return "its class computes more than a linear layer does"
    return None
