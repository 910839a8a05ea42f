"""Add a penalty to the loss, so that what is to fall grows small before it falls.

    L' = L + λ · penalty(weights)

Han et al. 2015 (arXiv 1506.02626, section 3.1) compare L1 and L2 on weights. Network Slimming (Liu et
al. 2017, arXiv 1708.06519) puts L1 on the scales of batch norm, one for each channel. Group lasso
takes the norm of a whole filter or channel (Wen et al. 2016, arXiv 1608.03665): all its weights go
to zero together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruning.layers import parameter_name, weight_layers, weight_names

Loss = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
Penalty = Callable[[nn.Module], torch.Tensor]


def cross_entropy(model: nn.Module, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of `logits` `[n, classes]` and `labels` `[n]`; `model` is not looked at."""
    return F.cross_entropy(logits, labels)


@dataclass(frozen=True)
class Regularised:
    """A loss `(model, logits, labels) → scalar`: `base + strength · penalty(model)`.

    Attributes:
        penalty: `model → scalar`, such as the classes below.
        strength: λ, 0 or more.
        base: the loss of the task.

    Raises:
        ValueError: `strength` is negative; when called, see the penalty.
    """

    penalty: Penalty
    strength: float
    base: Loss = cross_entropy

    def __post_init__(self) -> None:
        if not self.strength >= 0:
            raise ValueError(f"The strength of a penalty must be 0 or more, not {self.strength}.")

    def __call__(self, model: nn.Module, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.base(model, logits, labels) + self.strength * self.penalty(model)


@dataclass(frozen=True)
class L1:
    """`Σ |w|` over the weights of `layers` (default: all convolutions and linear layers)."""

    layers: Sequence[str] | None = None

    def __call__(self, model: nn.Module) -> torch.Tensor:
        return _sum(model.get_parameter(name).abs().sum() for name in weight_names(model, self.layers))


@dataclass(frozen=True)
class L2:
    """`Σ w²` over the weights of `layers`. SGD with weight decay d does the same as strength d/2."""

    layers: Sequence[str] | None = None

    def __call__(self, model: nn.Module) -> torch.Tensor:
        return _sum(model.get_parameter(name).square().sum() for name in weight_names(model, self.layers))


@dataclass(frozen=True)
class GroupLasso:
    """`Σ ‖group‖₂` over the groups of the weights of `layers`, unscaled by their size.

    Attributes:
        groups: "filter", the weights of one output, or "channel", those of one input.

    Raises:
        ValueError: unknown `groups`; when called, channels of a grouped convolution, whose inputs
            are not told apart by the weight's second dimension.
    """

    groups: Literal["filter", "channel"] = "filter"
    layers: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.groups not in ("filter", "channel"):
            raise ValueError(f"There are no groups named {self.groups!r}. Known: channel, filter.")

    def __call__(self, model: nn.Module) -> torch.Tensor:
        modules = {parameter_name(name): module for name, module in weight_layers(model).items()}
        return _sum(self._norms(name, modules[name]) for name in weight_names(model, self.layers))

    def _norms(self, name: str, module: nn.Module) -> torch.Tensor:
        weight: torch.Tensor = module.get_parameter("weight")
        if self.groups == "channel":
            if getattr(module, "groups", 1) > 1:
                raise ValueError(f"{name} of shape {list(weight.shape)} is of a grouped convolution; leave it out.")
            weight = weight.transpose(0, 1)
        return torch.linalg.vector_norm(weight.flatten(1), dim=1).sum()


@dataclass(frozen=True)
class BatchNormL1:
    """`Σ |γ|` over all batch-norm scales (Network Slimming), or smooth L1, which has a slope at zero.

    Attributes:
        smooth: the width β of the rounded tip: `γ²/2β` where |γ| < β, `|γ| − β/2` elsewhere; 0 for L1.

    Raises:
        ValueError: `smooth` is negative; when called, a model without batch norm.
    """

    smooth: float = 0.0

    def __post_init__(self) -> None:
        if not self.smooth >= 0:
            raise ValueError(f"smooth= is a width, 0 or more, not {self.smooth}.")

    def __call__(self, model: nn.Module) -> torch.Tensor:
        norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.affine]
        if not norms:
            raise ValueError("The model has no batch norm with scales; penalise its weights, as L1 or GroupLasso do.")
        scales = torch.cat([norm.weight for norm in norms])
        return F.smooth_l1_loss(scales, torch.zeros_like(scales), beta=self.smooth, reduction="sum")


PENALTIES: Mapping[str, Callable[..., Penalty]] = {
    "l1": L1,
    "l2": L2,
    "group_lasso": GroupLasso,
    "batch_norm_l1": BatchNormL1,
}


def _sum(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(terms)).sum()
