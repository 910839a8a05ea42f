"""How a network is trained: a few numbers, fixed by the task."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

# Least and greatest value of each number; the greatest of a share is not reached.
RANGES = {
    "epochs": (0, math.inf),
    "batch_size": (1, math.inf),
    "learning_rate": (0, math.inf),
    "momentum": (0, 1),
    "weight_decay": (0, math.inf),
    "warmup_epochs": (0, math.inf),
    "restart_epochs": (0, math.inf),
    "restart_learning_rate": (0, math.inf),
    "clip_norm": (0, math.inf),
    "label_smoothing": (0, 1),
    "crop_padding": (0, math.inf),
}


@dataclass(frozen=True)
class Recipe:
    """Linear warm-up and cosine decay of the learning rate, under one of two optimisers.

    Attributes:
        optimizer: `sgd` is stochastic gradient descent with Nesterov momentum; `adamw` is Adam with
            decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101) and its usual β.
        learning_rate: the peak, reached after `warmup_epochs`, then a half cosine down to zero
            (Loshchilov & Hutter 2017, arXiv 1608.03983, equation 5).
        restart_epochs: so many of the last epochs are a second half cosine, from
            `restart_learning_rate` down to zero: a warm restart (the same paper, section 3).
        weight_decay: on weights of convolutions and linear layers; biases and batch norm have none
            (Goyal et al. 2017, arXiv 1706.02677, section 5.3).
        momentum: of `sgd`.
        clip_norm: the gradient's largest L2 norm over all parameters; None leaves it alone.
        label_smoothing: as in Szegedy et al. 2016, arXiv 1512.00567, section 7.
        crop_padding, flip: of images; see `harness.data.images.Augmentation`.
        bfloat16: run forward and backward under bfloat16 autocast; weights stay float32.

    Raises:
        ValueError: a number out of its range, or a restart that is not within the epochs.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    epochs: int
    optimizer: Literal["sgd", "adamw"] = "sgd"
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: float = 0.0
    restart_epochs: int = 0
    restart_learning_rate: float = 0.0
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    crop_padding: int = 4
    flip: bool = True
    bfloat16: bool = True

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value < most:
                words = f"at least {least} and below {most}" if most < math.inf else f"finite, and at least {least}"
                raise ValueError(f"{name} is {value}: it must be {words}")
        if self.restart_epochs and not 0 < self.restart_epochs < self.epochs:
            raise ValueError(f"restart_epochs is {self.restart_epochs}: it must lie below the {self.epochs} epochs")

    def over(self, epochs: int) -> Recipe:
        """The same recipe over another number of epochs, in one period."""
        return replace(self, epochs=epochs, restart_epochs=0, restart_learning_rate=0.0)
