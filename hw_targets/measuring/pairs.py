"""From turns to the ratio of two models, with an interval that holds on a busy machine.

A pair's ratio is one of neighbours in time. What lies between pairs is taken by blocks of whole
segments, so that the interval carries what differs from one pair of sessions to the next, and what
the machine does meanwhile. A pair of which one turn met a burst of another process and the other did
not says little of the models, and counts little (`hw_targets.measuring.statistics.robust_ratio`).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from hw_targets.measuring.statistics import BLOCKS, Estimate, look_confidence, robust_ratio
from hw_targets.measuring.turns import Turn

DENSE, ENTRY = "dense", "entry"


def time_of_sample_ns(turn: Turn) -> float:
    """The median time of a query (SingleStream), or of a batch over its number of samples (Offline)."""
    return median(turn.times_ns) * len(turn.times_ns) / turn.samples


def pair_ratios(turns: Sequence[Turn]) -> tuple[np.ndarray, np.ndarray]:
    """How many times as fast the submission is as the dense model, by pair and in time, and the pairs' segments."""
    pairs: dict[int, dict[str, Turn]] = {}
    for turn in turns:
        pairs.setdefault(turn.pair, {})[turn.model] = turn
    whole = [pair for pair in pairs.values() if len(pair) == 2]
    ratios = [time_of_sample_ns(pair[DENSE]) / time_of_sample_ns(pair[ENTRY]) for pair in whole]
    return np.array(ratios, float), np.array([pair[ENTRY].segment for pair in whole], int)


def in_blocks(values: Sequence[np.ndarray] | np.ndarray, segments: np.ndarray) -> list[np.ndarray]:
    """`values` in at most `BLOCKS` blocks of whole segments.

    Args:
        values: one, or an array of them, for each element of `segments`.
    """
    names = np.unique(segments)
    blocks = np.array_split(names, min(BLOCKS, names.size)) if names.size else []
    found = []
    for block in blocks:
        of = [value for value, segment in zip(values, segments, strict=True) if block[0] <= segment <= block[-1]]
        found.append(np.concatenate([np.atleast_1d(value) for value in of]))
    return found


def speedup(turns: Sequence[Turn], look: int | None) -> Estimate:
    """The ratio over all `turns`, with its interval at the `look`-th look at them, or the last if None.

    Raises:
        ValueError: there is no whole pair.
    """
    ratios, segments = pair_ratios(turns)
    return robust_ratio(in_blocks(ratios, segments), look_confidence(look))
