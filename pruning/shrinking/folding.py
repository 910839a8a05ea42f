"""Fewer layers: where no non-linearity stands between two of them, they are one (Dror et al. 2021, arXiv 2106.09309).

Layer Folding puts a PReLU, `max(0, x) + α·min(0, x)`, in place of each ReLU. At α = 0 it is a ReLU,
at α = 1 the identity. Training with a penalty drives the slopes to 1 where the network can do
without; those activations are dropped, and the layers around them merge by plain algebra:

    linear         W = W₂·W₁,  b = W₂·b₁ + b₂
    convolutions   the kernel of the merged one is the full convolution of both kernels, of size k₁ + k₂ - 1

For convolutions this is exact where the second has no padding: the zeros that it would see at the
border are not what the first gives there. A batch norm in between is folded into the layer before
it, but only for a merge: a file with plain batch norms quantises and compresses better.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import nn

from pruning.shrinking.surgery import NORMS

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Mergeable = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def with_prelu(model: nn.Module, slope: float = 0.0) -> nn.Module:
    """A copy of `model` with a PReLU of one slope in place of every `nn.ReLU` module.

    Raises:
        ValueError: there is none (a call of `F.relu` inside forward cannot be replaced).
    """
    changed = copy.deepcopy(model)
    found = [(parent, name, child) for parent, name, child in _children(changed) if type(child) is nn.ReLU]
    if not found:
        raise ValueError("The model has no nn.ReLU module to replace; calls of F.relu cannot be seen from outside.")
    like = next(changed.parameters(), torch.zeros(()))
    made: dict[nn.Module, nn.PReLU] = {}  # a ReLU used in two places becomes one PReLU
    for parent, name, child in found:
        prelu = made.setdefault(child, nn.PReLU(init=slope, device=like.device, dtype=like.dtype))
        prelu.training = child.training
        setattr(parent, name, prelu)
    return changed


def linearity_penalty(model: nn.Module) -> torch.Tensor:
    """`Σ |1 − α|` over all slopes: add a multiple of it to the loss.

    Any penalty that falls towards α = 1 serves; this one has a gradient of constant size, so that
    slopes arrive there and do not only come near.

    Raises:
        ValueError: the model has no PReLU.
    """
    slopes = [module.weight for module in model.modules() if isinstance(module, nn.PReLU)]
    if not slopes:
        raise ValueError("The model has no PReLU. Put them in with with_prelu(model).")
    return torch.stack([(1 - slope).abs().sum() for slope in slopes]).sum()


def linearise(model: nn.Module, tolerance: float = 0.0) -> nn.Module:
    """A copy of `model` without the PReLUs all of whose slopes are within `tolerance` of 1.

    With a tolerance of 0 it computes the same as `model`; above, train on afterwards.

    Raises:
        ValueError: `tolerance` is negative.
    """
    if not tolerance >= 0:
        raise ValueError(f"The tolerance is a distance of slopes from 1, 0 or more, not {tolerance}.")
    changed = copy.deepcopy(model)
    for parent, name, child in _children(changed):
        if isinstance(child, nn.PReLU) and float((1 - child.weight.detach()).abs().max()) <= tolerance:
            setattr(parent, name, nn.Identity())
    return changed


def fold(model: nn.Module) -> nn.Module:
    """A copy of `model` with neighbours in each `nn.Sequential` merged; in evaluation mode it computes the same.

    Merged are linear layers, and convolutions where `merge` is exact, with nothing between them but
    `nn.Identity` and a batch norm with running statistics. Linear layers are taken to see `[n, features]`:
    over `[n, tokens, features]` a `BatchNorm1d` between them would stand for the tokens.
    """
    changed = copy.deepcopy(model)
    for parent in list(changed.modules()):
        if type(parent) is nn.Sequential:
            layers = _folded([child for child in parent if type(child) is not nn.Identity])
            if len(layers) < sum(type(child) is not nn.Identity for child in parent):
                del parent[:]
                parent.extend(layers)
    return changed


def _folded(layers: list[nn.Module]) -> list[nn.Module]:
    done: list[nn.Module] = []
    for layer in layers:
        done.append(layer)
        norm = len(done) > 2 and _foldable_norm(done[-3], done[-2])
        before = done[-3:-1] if norm else done[-2:-1]
        if before and isinstance(before[0], Mergeable) and isinstance(layer, Mergeable):
            bare = before[0].bias is None and not norm
            if _why_not(before[0], layer, bare) is None:
                first = fold_batch_norm(before[0], before[1]) if norm else before[0]
                done[-1 - len(before) :] = [merge(first, layer)]
    return done


def fold_batch_norm(layer: Mergeable, norm: nn.Module) -> Mergeable:
    """`norm(layer(x))` in evaluation mode, as one layer: `W·s, (b − μ)·s + β` with `s = γ / √(σ² + ε)`.

    Raises:
        ValueError: `norm` has no running statistics, or another width.
    """
    if not _foldable_norm(layer, norm):
        raise ValueError(
            f"{norm} cannot be folded into {layer}: it needs running statistics and as many channels as the layer."
        )
    weight = layer.weight.detach()
    gamma = norm.weight.detach() if norm.weight is not None else torch.ones_like(norm.running_mean)  # type: ignore[arg-type, operator]
    beta = norm.bias.detach() if norm.bias is not None else torch.zeros_like(norm.running_mean)  # type: ignore[arg-type, operator]
    bias = layer.bias.detach() if layer.bias is not None else torch.zeros_like(beta)
    scale = gamma / (norm.running_var + norm.eps).sqrt()  # type: ignore[operator]
    folded = weight * scale.view(-1, *[1] * (weight.ndim - 1))
    return _like(layer, folded, (bias - norm.running_mean) * scale + beta)  # type: ignore[operator]


def merge(first: Mergeable, second: Mergeable) -> Mergeable:
    """One layer that computes `second(first(x))`.

    Convolutions: no groups, no dilation, zero padding; the first with stride 1; the second without
    padding, or the first 1×1 without padding and bias, so that it gives zero for zero.

    Raises:
        ValueError: the two cannot be merged exactly; the message says why.
    """
    why = _why_not(first, second, first.bias is None)
    if why is not None:
        raise ValueError(f"{first} and {second} cannot be merged exactly: {why}.")
    one, two = first.weight.detach(), second.weight.detach()
    if isinstance(first, nn.Linear):
        merged = two @ one
    else:
        spatial = list(range(2, two.ndim))
        convolve = {1: nn.functional.conv1d, 2: nn.functional.conv2d, 3: nn.functional.conv3d}[len(spatial)]
        pads = [size - 1 for size in two.shape[2:]]
        merged = convolve(one.transpose(0, 1), two.flip(spatial), padding=pads).transpose(0, 1).contiguous()
    bias = second.bias.detach() if second.bias is not None else None
    if first.bias is not None:
        carried = two.flatten(2).sum(2) @ first.bias.detach() if two.ndim > 2 else two @ first.bias.detach()
        bias = carried if bias is None else carried + bias
    made = _like(second, merged, bias)
    if isinstance(made, Convolution) and isinstance(first, Convolution) and any(_amount(first.padding)):
        made.padding = first.padding  # type: ignore[assignment]
        made._reversed_padding_repeated_twice = first._reversed_padding_repeated_twice
    return made


def _why_not(first: nn.Module, second: nn.Module, bare: bool) -> str | None:
    """Why two layers cannot be merged, or None; `bare`: the first gives zero for zero."""
    if isinstance(first, nn.Linear) and isinstance(second, nn.Linear):
        return None if first.out_features == second.in_features else "they differ in width"
    if not isinstance(first, Convolution) or type(first) is not type(second) or not isinstance(second, Convolution):
        return "only two linear layers, or two convolutions of one kind, can be"
    if first.out_channels != second.in_channels:
        return "they differ in width"
    for layer in (first, second):
        if layer.groups > 1 or set(layer.dilation) != {1}:
            return "a grouped or dilated convolution would need another form"
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            return "padding must be zeros, of a size given in numbers"
    if set(first.stride) != {1}:
        return "the first has a stride"
    pointwise = bare and set(first.kernel_size) == {1} and not any(_amount(first.padding))
    if any(_amount(second.padding)) and not pointwise:
        return "the second is padded, and at the border it reads zeros that the first does not give"
    return None


def _amount(padding: Iterable[int] | str) -> list[int]:
    return [] if isinstance(padding, str) else list(padding)


def _like(layer: Mergeable, weight: torch.Tensor, bias: torch.Tensor | None) -> Mergeable:
    """A layer of the kind of `layer` (its stride, padding and mode) with another weight and bias."""
    made = copy.deepcopy(layer)
    made.weight = nn.Parameter(weight.clone(), requires_grad=layer.weight.requires_grad)
    made.bias = None if bias is None else nn.Parameter(bias.clone(), requires_grad=layer.weight.requires_grad)
    if isinstance(made, nn.Linear):
        made.out_features, made.in_features = weight.shape
    else:
        made.out_channels, made.in_channels, *size = weight.shape
        made.kernel_size = tuple(size)  # type: ignore[assignment]
    return made


def _foldable_norm(layer: nn.Module, norm: nn.Module) -> bool:
    same = isinstance(layer, Mergeable) and isinstance(norm, NORMS) and norm.num_features == layer.weight.shape[0]
    return same and norm.running_mean is not None and norm.running_var is not None  # type: ignore[union-attr]


def _children(model: nn.Module) -> list[tuple[nn.Module, str, nn.Module]]:
    """Every place of a module: (parent, name, child)."""
    return [(parent, name, child) for parent in model.modules() for name, child in parent._modules.items() if child]
