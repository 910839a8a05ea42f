"""A layer's weights as EIE holds them: a code for each, and a table of what the codes mean in fixed point.

Code 0 means zero, which padding entries need; the others name at most 2^bits − 1 values (15). A layer
that has no more distinct values once they are in fixed point keeps its own; of any other, k-means finds
them (Deep Compression, Han et al. 2016, arXiv 1510.00149, section 3), from centroids spread evenly
between the least and the greatest weight. Zero weights take no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hw_targets.eie.config import EieConfig
from hw_targets.eie.fixed_point import FixedPoint, format_for


@dataclass(frozen=True)
class CodedWeight:
    """A weight by its codes.

    Attributes:
        codes: uint8, in the weight's shape; 0 where the weight is zero.
        table: int32, the codes' values in `format`; `table[0]` is 0.
        format: of the values.
        kept: the weight's own values were used, and only rounded to 16 bits.
    """

    codes: np.ndarray
    table: np.ndarray
    format: FixedPoint
    kept: bool

    def integers(self) -> np.ndarray:
        """The decoded weight in units of its format, float64."""
        return self.table.astype(np.float64)[self.codes]

    def values(self) -> np.ndarray:
        """The weight that EIE multiplies by, float64."""
        return self.values_of_codes[self.codes]

    @property
    def values_of_codes(self) -> np.ndarray:
        """The codebook in real numbers, float64."""
        return self.format.decode(self.table)


def code_weight(
    weight: np.ndarray, config: EieConfig, name: str = "the weight", importance: np.ndarray | None = None
) -> CodedWeight:
    """Share the values of `weight`, as `config.sharing` says.

    Args:
        importance: how much each weight counts in k-means, above 0, in the weight's shape; default: all the same.

    Raises:
        ValueError: NaN or infinity, or more values than the codebook holds where they must be kept.
    """
    if not np.isfinite(weight).all():
        raise ValueError(f"{name} has NaN or infinity in it; EIE's weights are finite.")
    occupied = weight != 0
    nonzero = weight[occupied]
    format = format_for(float(np.abs(nonzero).max(initial=0)), config.value_bits)
    offset = format.greatest + 1
    rounded = format.encode(nonzero).astype(np.int64) + offset
    counts = np.bincount(rounded, minlength=2 * offset)
    points = np.flatnonzero(counts)
    keep = config.sharing != "cluster" and points.size <= config.shared_values
    if config.sharing == "keep" and not keep:
        raise ValueError(
            f"{name} has {points.size} non-zero values, and a codebook of {config.codebook_bits} bits keeps "
            f"{config.shared_values} beside zero. Share its values first, or let sharing=cluster find them."
        )
    if importance is not None:
        counts = np.bincount(rounded, importance[occupied], 2 * offset)
    centroids = points if keep else _kmeans(points, counts[points], config.shared_values)
    code_of = np.zeros(2 * offset, np.uint8)
    code_of[points] = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, points) + 1
    codes = np.zeros(weight.shape, np.uint8)
    codes[occupied] = code_of[rounded]
    table = np.concatenate([[0], np.rint(centroids) - offset]).astype(np.int32)
    return CodedWeight(codes, table, format, keep)


def _kmeans(points: np.ndarray, counts: np.ndarray, clusters: int) -> np.ndarray:
    """Centroids in rising order of `points` `[n]`, rising, that count for `counts` each."""
    from sklearn.cluster import KMeans

    if points.size <= clusters:
        return points.astype(np.float64)
    start = np.linspace(points[0], points[-1], clusters)[:, None]
    values = points[:, None].astype(np.float64)
    found = KMeans(clusters, init=start, n_init=1, random_state=0).fit(values, sample_weight=counts)
    return np.unique(found.cluster_centers_[:, 0])
