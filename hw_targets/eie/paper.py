"""What the paper publishes about its nine layers, and random layers like them (Tables III and IV).

The trained networks' masks are not published. Random masks of the same densities are better balanced
than real ones, and Table III rounds its densities to whole per cent of the weights, so agreement is
limited by both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PaperLayer:
    """One layer of Table III, with its row of Table IV for 64 elements at 800 MHz.

    Attributes:
        weight_density, activation_density: shares that are not zero.
        theoretical_us: time with a perfect balance.
        actual_us: as the paper's cycle-accurate simulator had it.
    """

    columns: int
    rows: int
    weight_density: float
    activation_density: float
    theoretical_us: float
    actual_us: float


LAYERS = {
    "Alex-6": PaperLayer(9216, 4096, 0.09, 0.351, 28.1, 30.3),
    "Alex-7": PaperLayer(4096, 4096, 0.09, 0.353, 11.7, 12.2),
    "Alex-8": PaperLayer(4096, 1000, 0.25, 0.375, 8.9, 9.9),
    "VGG-6": PaperLayer(25088, 4096, 0.04, 0.183, 28.1, 34.4),
    "VGG-7": PaperLayer(4096, 4096, 0.04, 0.375, 7.9, 8.7),
    "VGG-8": PaperLayer(4096, 1000, 0.23, 0.411, 7.3, 8.4),
    "NT-We": PaperLayer(4096, 600, 0.10, 1.0, 5.2, 8.0),
    "NT-Wd": PaperLayer(600, 8791, 0.11, 1.0, 13.0, 13.9),
    "NT-LSTM": PaperLayer(1201, 2400, 0.10, 1.0, 6.5, 7.5),
}


def random_layer(name: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random mask `[rows, columns]` and the int32 columns of non-zero activations, at the layer's densities."""
    layer = LAYERS[name]
    mask = rng.random((layer.rows, layer.columns), dtype=np.float32) < layer.weight_density
    return mask, np.flatnonzero(rng.random(layer.columns) < layer.activation_density).astype(np.int32)
