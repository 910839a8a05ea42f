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
    """A random mask `[rows, columns]`, and the int32 columns of as many non-zero activations as the density says."""
    layer = LAYERS[name]
    mask = rng.random((layer.rows, layer.columns), dtype=np.float32) < layer.weight_density
    active = rng.choice(layer.columns, round(layer.activation_density * layer.columns), replace=False)
    return mask, np.sort(active).astype(np.int32)


# Table V, on AlexNet's seventh layer.
TABLE_5 = {"power_w": 0.59, "frames_per_s": 81_967.0, "frames_per_j": 138_927.0, "area_mm2": 40.8}
TABLE_5_256 = {"pe_count": 256, "clock_hz": 1.2e9, "frames_per_s": 426_230.0}  # the projection to 28 nm
TABLE_5_LAYER = "Alex-7"
TEXT_256_OVER_64 = 3.25  # throughput of 256 elements over 64, in the text beside Table V
TABLE_2_MW = {  # one element
    "activation_queue": 0.112,
    "pointer_read": 1.807,
    "weight_read": 4.955,
    "arithmetic": 1.162,
    "activation_access": 1.122,
    "total": 9.157,
}
