"""Which weights are kept: parameter name → boolean tensor, checked before it is used.

A mask that names no parameter of the model, or that broadcasts where it should match, prunes
something else than was meant and shows it only in the accuracy. So a `Mask` cannot be changed once
it is made, and every use of it on a model is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from pruning.names import nearest


class Mask(Mapping[str, torch.Tensor]):
    """An immutable mapping from parameter name to a boolean tensor of its shape; True is kept.

    Parameters that it does not name are left alone. Reading gives copies, so that a mask cannot be
    changed through what it returned.

    Args:
        keep: the tensors; they are copied, to the CPU.

    Raises:
        ValueError: a value is not a boolean tensor.
    """

    def __init__(self, keep: Mapping[str, torch.Tensor]) -> None:
        for name, tensor in keep.items():
            if not isinstance(tensor, torch.Tensor) or tensor.dtype != torch.bool:
                found = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
                raise ValueError(f"The mask of {name} must be a tensor of torch.bool (True = kept), not {found}.")
        self._keep = {name: tensor.detach().cpu().clone() for name, tensor in keep.items()}

    @classmethod
    def dense(cls, model: nn.Module) -> Mask:
        """The mask that keeps every parameter of `model` whole."""
        return cls({name: torch.ones(p.shape, dtype=torch.bool) for name, p in model.named_parameters()})

    @classmethod
    def _sharing(cls, keep: Mapping[str, torch.Tensor]) -> Mask:
        """A mask of tensors that nothing else can change: those of other masks, or new ones."""
        mask = cls({})
        mask._keep = dict(keep)
        return mask

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._keep[name].clone()

    def __contains__(self, name: object) -> bool:
        return name in self._keep

    def __iter__(self) -> Iterator[str]:
        return iter(self._keep)

    def __len__(self) -> int:
        return len(self._keep)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return self._keep.keys() == other._keep.keys() and all(
            torch.equal(keep, other._keep[name]) for name, keep in self._keep.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Mask({len(self)} parameters, {self.kept} of {self.total} weights kept, sparsity {self.sparsity:.4f})"

    def check(self, model: nn.Module) -> None:
        """Hold the mask against the parameters of `model`.

        Raises:
            ValueError: it names a parameter that the model lacks (the message gives the nearest),
                or a tensor has not its parameter's shape.
        """
        parameters = dict(model.named_parameters())
        for name, keep in self._keep.items():
            if name not in parameters:
                raise ValueError(f"The model has no parameter {name!r} to mask. {nearest(name, parameters)}")
            if keep.shape != parameters[name].shape:
                raise ValueError(
                    f"The mask of {name} has shape {list(keep.shape)}, "
                    f"but the parameter has {list(parameters[name].shape)}."
                )

    @torch.no_grad()
    def apply_(self, model: nn.Module) -> nn.Module:
        """Set what is not kept to zero, in place, and return `model`.

        Raises:
            ValueError: see `check`; the model is then unchanged.
        """
        self.check(model)
        parameters = dict(model.named_parameters())
        for name, keep in self._keep.items():
            parameters[name].masked_fill_(~keep.to(parameters[name].device), 0)
        return model

    def combine(self, other: Mask) -> Mask:
        """What both keep; a parameter that only one of them names is taken from that one.

        Raises:
            ValueError: they disagree on a parameter's shape.
        """
        both = dict(self._keep)
        for name, keep in other._keep.items():
            if name in both and both[name].shape != keep.shape:
                raise ValueError(f"Two masks of {name} differ in shape: {list(both[name].shape)}, {list(keep.shape)}.")
            both[name] = both[name] & keep if name in both else keep
        return Mask._sharing(both)

    __and__ = combine

    def kept_units(self, name: str) -> torch.Tensor:
        """Bool `[c_o]`: the output units (filters, rows) of the parameter `name` of which any weight is kept."""
        keep = self._keep[name]
        return keep.view(torch.uint8).unsqueeze(-1).flatten(1).amax(1).bool()  # on the CPU far faster than any(1)

    @property
    def kept(self) -> int:
        """Weights kept, of those that the mask names."""
        return sum(int(keep.sum()) for keep in self._keep.values())

    @property
    def total(self) -> int:
        """Weights that the mask names."""
        return sum(keep.numel() for keep in self._keep.values())

    @property
    def sparsity(self) -> float:
        """The share that is removed, in 0…1, of the weights that the mask names; 0 for none."""
        return 1 - self.kept / self.total if self.total else 0.0

    def counts(self) -> dict[str, tuple[int, int]]:
        """Parameter name → (weights kept, weights in all)."""
        return {name: (int(keep.sum()), keep.numel()) for name, keep in self._keep.items()}
