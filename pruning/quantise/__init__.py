"""Fewer bits for each weight: one file a technique.

    codebook   a few shared values and a short code for each weight     share_weights
    int8       integers on an even grid, after training                 to_int8, layers_in_floats
    dynamic    the same for linear layers alone, without calibration    to_dynamic_int8, floats_left
    qat        the same integers, with the rounding seen in training    quantise_aware, prepare, carried_over, freeze

All take a model and give a changed copy. They come last, after pruning and shrinking: what is
quantised has no float weight left to prune. `storage` says how a layer holds codes and which layers
are meant, `grid` what an integer stands for, `ranges` which values activations take. For integers
between the layers `network` has the model followed (`tracing`), its batch norms folded (`normalise`)
and the places found (`placing`, by what `operators` says of each step); `integers` is what is put there,
and `finishing` writes it so that runtimes see it.
"""

from __future__ import annotations

from pruning.quantise.codebook import share_weights
from pruning.quantise.dynamic import floats_left, to_dynamic_int8
from pruning.quantise.int8 import layers_in_floats, to_int8
from pruning.quantise.qat import carried_over, freeze, prepare, quantise_aware
from pruning.quantise.ranges import MinMax, Percentile

__all__ = [
    "MinMax",
    "Percentile",
    "carried_over",
    "floats_left",
    "freeze",
    "layers_in_floats",
    "prepare",
    "quantise_aware",
    "share_weights",
    "to_dynamic_int8",
    "to_int8",
]
