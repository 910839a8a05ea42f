"""Large layers can spare more: densities by the Erdős–Rényi-Kernel rule.

Evci et al. 2020 (RigL), arXiv 1911.11134: the density of a layer is proportional to the sum of its
weight's dimensions over their product, `(c_o + c_i + k_h + k_w) / (c_o · c_i · k_h · k_w)`; without
the kernel's dimensions, as for linear layers, it is the Erdős–Rényi rule of Mocanu et al. 2018
(arXiv 1707.04780). Layers that would need a density above 1 are dense, and the rest is scaled to
meet the total. In a grouped convolution `c_i` is the inputs of one group, as in the weight's shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pruning.ratios.counting import check_sparsity, kept_count
from pruning.ratios.per_layer import PerLayer, apportion, sparsity_of


def erk(shapes: Mapping[str, Sequence[int]], sparsity: float) -> PerLayer:
    """Sparsities from the shapes of the weights alone; needs neither data nor training.

    The weights removed are exactly the rounded share `sparsity` of all, with single weights as
    groups; every layer keeps at least one.

    Args:
        shapes: parameter name → shape of the weight.
        sparsity: share of all weights to remove, in 0…1.

    Raises:
        ValueError: no shapes, an empty weight, or so high a sparsity that layers would keep nothing.
    """
    check_sparsity(sparsity)
    if not shapes:
        raise ValueError("ERK needs the shape of at least one weight.")
    for name, shape in shapes.items():
        if not shape or math.prod(shape) < 1:
            raise ValueError(f"{name} of shape {list(shape)} has no weights to spread; leave it out.")
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    total = kept_count(sum(sizes.values()), sparsity)
    return PerLayer(sparsity_of(apportion(_wanted(shapes, sizes, total), sizes, total), sizes))


def _wanted(shapes: Mapping[str, Sequence[int]], sizes: Mapping[str, int], total: int) -> dict[str, float]:
    """Weights that each layer keeps, before rounding; they sum to `total`.

    `density · size` is `scale · sum(shape)`. Making a layer dense only raises the scale, so a layer
    that is above its size once is so for good, and all of them can be fixed at a time.
    """
    dense: set[str] = set()
    while True:
        sparse = {name: sum(shape) for name, shape in shapes.items() if name not in dense}
        scale = (total - sum(sizes[name] for name in dense)) / sum(sparse.values()) if sparse else 0.0
        over = {name for name, units in sparse.items() if scale * units > sizes[name]}
        if not over:
            return {name: float(sizes[name]) if name in dense else scale * sum(shapes[name]) for name in shapes}
        dense |= over
