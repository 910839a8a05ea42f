"""Whole blocks taken out: the network gets shallower, and what is left keeps its width.

A residual block, or a layer of a transformer, gives what it was given plus a change. If the change
is small, the block can be skipped. NVIDIA's depth-pruned Llama 2 70B in MLPerf's open division is
made of such a network. The score is Block Influence of ShortGPT (Men et al. 2024, arXiv
2403.03853): one minus the cosine similarity of a block's input and output.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from pruning.criteria import Batches
from pruning.names import nearest
from pruning.observing import inference

Watch = Callable[[str, torch.Tensor | None, Any], None]


class Skip(nn.Module):
    """In place of a block: gives back its first input, whatever else it is called with."""

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        first = _first(args, kwargs)
        if first is None:
            raise TypeError("A skipped block was called without a tensor.")
        return first


def removable_blocks(model: nn.Module, example_inputs: torch.Tensor) -> list[str]:
    """Names of the blocks whose input and output agree in shape, so that they can be skipped.

    Blocks are the elements of an `nn.Sequential` or `nn.ModuleList` that are made of other modules
    and have parameters; their first input and their output must be tensors.

    Args:
        example_inputs: one batch, as the model takes it.
    """
    agrees: dict[str, bool] = {}

    def watch(name: str, given: torch.Tensor | None, got: Any) -> None:
        same = isinstance(given, torch.Tensor) and isinstance(got, torch.Tensor)
        same = same and given.shape == got.shape and given.dtype == got.dtype  # type: ignore[union-attr]
        agrees[name] = same and agrees.get(name, True)

    candidates = _blocks(model)
    with inference(model), _watched(model, candidates, watch):
        model(example_inputs)
    return [name for name in candidates if agrees.get(name, False)]


def block_importance(model: nn.Module, names: Sequence[str], data: Batches) -> dict[str, float]:
    """Block Influence: 1 − the mean cosine similarity of input and output, in 0…2; low is easily spared.

    The vectors compared are the features of one token (`[n, length, features]`, `[n, features]`) or
    of one pixel (`[n, channels, h, w]`); all count alike, padding included. Two zero vectors are equal.

    Args:
        data: batches of `(inputs, labels)`; one pass, in evaluation mode.

    Raises:
        ValueError: an unknown block, one whose output has another shape than its input or that is
            never called, or no data.
    """
    _require(model, names)
    sums, counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)

    def watch(name: str, given: torch.Tensor | None, got: Any) -> None:
        if given is None or not isinstance(got, torch.Tensor) or given.shape != got.shape:
            raise ValueError(f"The output of {name} has not the shape of its input. removable_blocks() lists others.")
        dim = 1 if given.ndim >= 4 else -1
        one, two = given.double(), got.double()
        similarity = nn.functional.cosine_similarity(one, two, dim=dim)
        both_zero = (one.abs().amax(dim) == 0) & (two.abs().amax(dim) == 0)
        similarity = similarity.masked_fill(both_zero, 1)
        sums[name] += float(similarity.sum())
        counts[name] += similarity.numel()

    batches = 0
    with inference(model), _watched(model, names, watch):
        for inputs, _ in data:
            batches += 1
            model(inputs)
    if not batches:
        raise ValueError("Block importance is measured on data, and there is none.")
    silent = [name for name in names if not counts[name]]
    if silent:
        raise ValueError(f"The data do not pass through {', '.join(silent)}.")
    return {name: 1 - sums[name] / counts[name] for name in names}


def remove_blocks(model: nn.Module, names: Sequence[str], example_inputs: torch.Tensor | None = None) -> nn.Module:
    """A copy of `model` in which each of the blocks `names` hands on its input; all other names stay.

    Args:
        example_inputs: where given, the blocks are first held against `removable_blocks`.

    Raises:
        ValueError: an unknown name, a block within another one that is removed, or one whose
            output has another shape than its input.
    """
    _require(model, names)
    if example_inputs is not None:
        known = removable_blocks(model, example_inputs)
        for name in names:
            if name not in known:
                raise ValueError(
                    f"{name} cannot be skipped: its output has not the shape of its input. {nearest(name, known)}"
                )
    for name in names:
        outer = [other for other in names if name.startswith(f"{other}.")]
        if outer:
            raise ValueError(f"{name} is a part of {outer[0]}, which is removed as a whole. Name one of them.")
    # The copy holds a Skip in each block's place from the start, so the blocks' weights are never copied.
    small: nn.Module = copy.deepcopy(model, {id(model.get_submodule(name)): Skip() for name in names})
    for name in names:
        small.get_submodule(name).training = model.get_submodule(name).training
    return small


def _blocks(model: nn.Module) -> list[str]:
    found = []
    for name, module in model.named_modules():
        if isinstance(module, (nn.Sequential, nn.ModuleList)):
            for own, block in module.named_children():
                if any(True for _ in block.children()) and any(True for _ in block.parameters()):
                    found.append(f"{name}.{own}".lstrip("."))
    return found


def _require(model: nn.Module, names: Sequence[str]) -> None:
    known = [name for name, _ in model.named_modules() if name]
    for name in names:
        if name not in known:
            raise ValueError(f"The model has no block named {name!r}. {nearest(name, _blocks(model) or known)}")


@contextmanager
def _watched(model: nn.Module, names: Sequence[str], watch: Watch) -> Iterator[None]:
    """Within, `watch(name, first input, output)` is called each time a block runs."""

    def hook(name: str) -> Callable[..., None]:
        return lambda module, args, kwargs, output: watch(name, _first(args, kwargs), output)

    handles = [model.get_submodule(name).register_forward_hook(hook(name), with_kwargs=True) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _first(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    return next((value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)), None)
