"""How a layer comes to hold its weight in few bits, and computes as before.

PyTorch's parametrisation does it: `layer.weight` becomes a function of what is stored, so every
layer, and everything that reads its weight, works unchanged. What is trained is
`layer.parametrizations.weight.original`: a codebook, a scale, or the floats behind a fake
quantisation. Integer codes are buffers beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.utils import parametrize

from pruning.layers import LAYERS, Layer
from pruning.names import nearest

Bits = int | Mapping[str, int]
MOST_BITS = 8


def bits_per_layer(model: nn.Module, bits: Bits, *, least: int) -> dict[str, int]:
    """Layer name → bits of one weight, for the layers to quantise, in the model's order; all are checked.

    Args:
        bits: one number for every convolution and linear layer; or a mapping from names of layers,
            or from the kinds "conv" and "linear", to numbers. A name goes before a kind, also for
            a layer that is itself named "conv" or "linear"; layers not reached stay as they are.
        least: the fewest bits that make sense.

    Raises:
        ValueError: an unknown name, bits outside `least` to 8, no layer left, or a weight that
            cannot be replaced: not finite, quantised already, or shared with another layer.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LAYERS)}
    if isinstance(bits, Mapping):
        for key in bits:
            if key not in layers and key not in ("conv", "linear"):
                known = nearest(key, [*layers, "conv", "linear"])
                raise ValueError(f"Bits are given for {key!r}, which is neither a layer nor a kind of layer. {known}")
        kinds = {key: width for key, width in bits.items() if key not in layers}
        wanted = {name: bits.get(name, kinds.get(_kind(layer))) for name, layer in layers.items()}
    else:
        wanted = dict.fromkeys(layers, bits)
    chosen = {name: width for name, width in wanted.items() if width is not None}
    if not chosen:
        raise ValueError("No convolution or linear layer is left to quantise.")
    owners = _owners(model)
    for name, width in chosen.items():
        _check(name, layers[name], width, least, owners)
    return chosen


def store(layer: nn.Module, stored: torch.Tensor, decode: nn.Module, *, of: str = "weight") -> None:
    """Make `layer.weight` (or its bias) be `decode(stored)`, in place; `stored` is trained if the weight was.

    Where the layer stores it so already, the new way replaces the old one.
    """
    chain = _chain(layer, of)
    old = layer.get_parameter(of if chain is None else f"parametrizations.{of}.original")
    new = nn.Parameter(stored.detach().clone(), requires_grad=old.requires_grad)
    if chain is None:
        if parametrize.is_parametrized(layer):  # copies share a class: a property more is for this one alone
            own = {key: value for key, value in vars(type(layer)).items() if key not in ("__dict__", "__weakref__")}
            layer.__class__ = type(type(layer).__name__, type(layer).__bases__, own)
        setattr(layer, of, new)
        parametrize.register_parametrization(layer, of, decode, unsafe=True)  # unsafe: the shape changes
    else:
        # Not by removing and adding: the property `weight` lives in a class that copies of the layer share.
        chain[0], chain.original = decode, new


def stored_name(name: str) -> str:
    """The name under which a layer's weight `fc.weight` is trained once it is parametrised."""
    return f"{name.removesuffix('weight')}parametrizations.weight.original"


def decoder(layer: nn.Module) -> nn.Module | None:
    """What makes the weight of `layer` from what is stored; None where the weight is a plain one."""
    chain = _chain(layer, "weight")
    return None if chain is None else next(chain.children())


def layer_of(model: nn.Module, name: str) -> Layer:
    """A convolution or linear layer by name."""
    layer = model.get_submodule(name)
    assert isinstance(layer, LAYERS)
    return layer


def _chain(layer: nn.Module, of: str) -> parametrize.ParametrizationList | None:
    if not parametrize.is_parametrized(layer, of):
        return None
    chain = layer.get_submodule(f"parametrizations.{of}")
    assert isinstance(chain, parametrize.ParametrizationList)
    return chain


def _kind(layer: nn.Module) -> str:
    return "linear" if isinstance(layer, nn.Linear) else "conv"


def _owners(model: nn.Module) -> dict[int, list[str]]:
    owners: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name)
    return owners


def _check(name: str, layer: Layer, width: int, least: int, owners: Mapping[int, list[str]]) -> None:
    weight = layer.weight
    if isinstance(weight, nn.parameter.UninitializedParameter):
        raise ValueError(f"{name}.weight has no shape yet: run the model on a sample first.")
    names = owners.get(id(weight), [])
    where = f"{f'{name}.weight' if name else 'weight'} of shape {list(weight.shape)}"
    if not isinstance(width, int) or isinstance(width, bool) or not least <= width <= MOST_BITS:
        raise ValueError(f"{where}: a weight takes {least} to {MOST_BITS} bits, as a whole number, not {width!r}.")
    if not names:
        raise ValueError(
            f"{where} is computed from something else. A weight that is quantised already stays so; of weight norm "
            "and torch's own pruning make a plain one first (torch.nn.utils.parametrize.remove_parametrizations, "
            "torch.nn.utils.prune.remove)."
        )
    if len(names) > 1:
        raise ValueError(
            f"{where} is one tensor under several names ({', '.join(names)}). "
            "Give each its own copy, or leave the layer out of bits=."
        )
    if not bool(weight.isfinite().all()):
        raise ValueError(f"{where} holds NaN or infinity. Has the training diverged?")
