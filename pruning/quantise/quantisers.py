"""The techniques called alike, as a pipeline's last step: `quantise(model, bits=…, mask=…, data=…, train=…)`.

Each takes what it has a use for. They are the same calls that can be made by hand.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from pruning.criteria.batches import Batches
from pruning.mask import Mask
from pruning.quantise.codebook import share_weights
from pruning.quantise.int8 import to_int8
from pruning.quantise.qat import quantise_aware
from pruning.quantise.storage import Bits, bits_per_layer
from pruning.recovery.fine_tuning import Train

DEEP_COMPRESSION: Bits = {"conv": 8, "linear": 5}  # Han et al. 2016, arXiv 1510.00149
GIVEN = ("model", "mask", "data", "train", "epochs", "learning_rate", "calibration")  # by the pipeline


@dataclass(frozen=True)
class Material:
    """What a pipeline has at hand for its last step.

    Attributes:
        mask: of the weights that are kept; None for all.
        data: batches to calibrate by.
        epochs: of the training that follows, or in which the rounding is seen.
    """

    mask: Mask | None
    data: Batches
    train: Train
    epochs: int
    learning_rate: float | None


@dataclass(frozen=True)
class Quantiser:
    """A technique by a function that takes a model, the material and the options.

    Attributes:
        technique: the public function, which says what the options mean.
        bits: where none are named.
        least_bits: of a weight.
        more: options beside those of the technique, with their types.
    """

    apply: Callable[..., nn.Module]
    technique: Callable[..., nn.Module]
    bits: Bits
    least_bits: int
    more: Mapping[str, type]

    def __call__(self, model: nn.Module, material: Material, **options: Any) -> nn.Module:
        return self.apply(model, material, **{"bits": self.bits, **options})

    @property
    def options(self) -> tuple[str, ...]:
        """What may be set by name."""
        own = (name for name in inspect.signature(self.technique).parameters if name not in GIVEN)
        return (*own, *self.more)

    def check(self, model: nn.Module, options: Mapping[str, Any]) -> None:
        """Refuse bits that do not fit `model`, before any work.

        Raises:
            ValueError: says which.
        """
        bits_per_layer(model, options.get("bits", self.bits), least=self.least_bits)


def _codebook(model: nn.Module, given: Material, *, bits: Bits, epochs: int | None = None, **options: Any) -> nn.Module:
    """Weights are shared, and the shared values trained."""
    shared = share_weights(model, bits, given.mask, **options)
    epochs = given.epochs if epochs is None else epochs
    if not epochs:
        return shared
    floats = dict(shared.named_parameters())  # layers without a codebook; in one the zeros hold by themselves
    left = Mask({name: keep for name, keep in (given.mask or {}).items() if name in floats})
    return given.train(shared, epochs=epochs, learning_rate=given.learning_rate, mask=left)


def _int8(model: nn.Module, given: Material, *, activations: bool = True, **options: Any) -> nn.Module:
    return to_int8(model, data=given.data if activations else None, **options)


def _qat(
    model: nn.Module, given: Material, *, activations: bool = True, epochs: int | None = None, **options: Any
) -> nn.Module:
    return quantise_aware(
        model,
        data=given.data if activations else None,
        mask=given.mask,
        train=given.train,
        epochs=given.epochs if epochs is None else epochs,
        learning_rate=given.learning_rate,
        **options,
    )


QUANTISERS: Mapping[str, Quantiser] = {
    "codebook": Quantiser(_codebook, share_weights, DEEP_COMPRESSION, 1, {"epochs": int}),
    "int8": Quantiser(_int8, to_int8, 8, 2, {"activations": bool}),
    "qat": Quantiser(_qat, quantise_aware, 8, 2, {"epochs": int, "activations": bool}),
}
