"""Weights that share a few values: a code of some bits for each weight, and a table of what the codes mean.

Deep Compression, Han et al. 2016, arXiv 1510.00149, section 3. The weights of a layer are clustered
by k-means (3.1), from centroids spread evenly between the least and the greatest weight, since few
but large weights matter more than their number says (3.2); a centroid that is left without weights
moves to where the error is largest. Trained on, a shared value moves by the
sum of its weights' gradients (3.3): what autograd computes for a look-up in a table.

Pruned weights stay out of the clustering and have a code of their own, so zero stays exactly zero:
b bits mean 2^b values, or 2^b − 1 values and zero.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from pruning.layers import parameter_name
from pruning.mask import Mask
from pruning.quantise.storage import Bits, bits_per_layer, layer_of, store


def share_weights(model: nn.Module, bits: Bits, mask: Mask | None = None) -> nn.Module:
    """A copy of `model` whose convolutions and linear layers draw their weights from codebooks, one a layer.

    Training it trains the codebooks, with everything else that is trained; codes stay. It needs no
    mask: the zeros hold by themselves.

    Args:
        bits: of a code, 1 to 8; for all layers or by layer (see `storage.bits_per_layer`), such as
            `{"conv": 8, "linear": 5}`.
        mask: which weights stay; the others become zero. Default: those that are not zero now, as
            pruning left them. `Mask.dense(model)` clusters zeros like any other value.

    Raises:
        ValueError: `bits` do not fit the model, the mask does not, or a weight cannot be replaced.
    """
    widths = bits_per_layer(model, bits, least=1)
    if mask is not None:
        mask.check(model)
    shared = copy.deepcopy(model)
    for name, width in widths.items():
        layer = layer_of(shared, name)
        weight = layer.weight.detach()
        parameter = parameter_name(name)
        if mask is None:
            kept = weight != 0
        else:
            kept = mask[parameter].to(weight.device) if parameter in mask else torch.ones_like(weight, dtype=torch.bool)
        codes, codebook = encode(weight, kept, width)
        store(layer, codebook, SharedWeight(codes, has_zero=not bool(kept.all())))
    return shared


class SharedWeight(nn.Module):
    """The way from a codebook to a weight: one look-up for each code.

    Args:
        codes: uint8, in the weight's shape.
        has_zero: code 0 means zero, and code i the i-th entry of the codebook; else code 0 is its first.
    """

    codes: torch.Tensor

    def __init__(self, codes: torch.Tensor, *, has_zero: bool) -> None:
        super().__init__()
        self.has_zero = has_zero
        self.register_buffer("codes", codes)

    def forward(self, codebook: torch.Tensor) -> torch.Tensor:
        table = F.pad(codebook, (1, 0)) if self.has_zero else codebook
        return table.index_select(0, self.codes.flatten().long()).reshape(self.codes.shape)


def encode(weight: torch.Tensor, kept: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes (uint8, in the weight's shape) and the codebook `[at most 2^bits]`, without zero's own entry.

    Where nothing is kept the codebook has one entry, which no code names.
    """
    has_zero = not bool(kept.all())
    codes, codebook = kmeans(weight[kept], 2**bits - has_zero)
    everywhere = torch.zeros(weight.shape, dtype=torch.uint8, device=weight.device)
    everywhere[kept] = (codes + has_zero).to(torch.uint8)
    return everywhere, codebook if len(codebook) else weight.new_zeros(1)


def kmeans(values: torch.Tensor, clusters: int, *, steps: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Lloyd's algorithm on a line, where a cluster is a run of sorted values: a step costs k·log n.

    Args:
        values: `[n]`, finite.
        clusters: k, 1 or more.
        steps: it ends earlier where no value changes its cluster.

    Returns:
        The nearest centroid's index for each value, int64 `[n]` (the lower in a tie), and the
        centroids in rising order: k of them, or the distinct values themselves where these are
        no more than k.

    Raises:
        ValueError: `clusters` is below 1.
    """
    if clusters < 1:
        raise ValueError(f"k-means needs 1 cluster or more, not {clusters}.")
    ordered = values.double().sort().values
    centroids = ordered.unique_consecutive()
    if len(centroids) > clusters:
        centroids = _lloyd(ordered, clusters, steps)
    centroids = centroids.to(values.dtype)
    return torch.bucketize(values.double(), _midpoints(centroids.double())), centroids


def _lloyd(ordered: torch.Tensor, clusters: int, steps: int) -> torch.Tensor:
    """Centroids `[clusters]`, rising, of sorted float64 values, from a linear initialisation."""
    sums, squares = (F.pad(x.cumsum(0), (1, 0)) for x in (ordered, ordered.square()))
    least, greatest = float(ordered[0]), float(ordered[-1])
    centroids = torch.linspace(least, greatest, clusters, dtype=ordered.dtype, device=ordered.device)
    bounds = _bounds(ordered, centroids)
    for _ in range(steps):
        counts, total = bounds.diff(), sums[bounds].diff()
        centroids = torch.where(counts > 0, total / counts.clamp(min=1), centroids)
        if not bool(counts.all()):
            centroids = _refill(ordered, bounds, centroids, squares[bounds].diff() - total * centroids)
        before, bounds = bounds, _bounds(ordered, centroids)
        if torch.equal(before, bounds):
            break
    return centroids[bounds.diff() > 0]


def _refill(ordered: torch.Tensor, bounds: torch.Tensor, centroids: torch.Tensor, errors: torch.Tensor) -> torch.Tensor:
    """Move centroids without a value to where the error is largest.

    Pruning leaves a gap around zero, and the linear initialisation puts centroids into it. Each
    goes to the outermost value of one of the clusters with the largest squared error, which can
    only lower the error.
    """
    counts = bounds.diff()
    first, last = ordered[bounds[:-1].clamp(max=len(ordered) - 1)], ordered[(bounds[1:] - 1).clamp(min=0)]
    divisible = (counts > 0) & (first < last)
    empty = torch.nonzero(counts == 0).flatten()[: int(divisible.sum())]
    worst = errors.masked_fill(~divisible, -torch.inf).topk(len(empty)).indices
    outermost = torch.where(last - centroids > centroids - first, last, first)
    return centroids.index_copy(0, empty, outermost[worst]).sort().values


def _bounds(ordered: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    """Where each cluster's run of values begins, and the end of the last: int64 `[clusters + 1]`."""
    inner = torch.searchsorted(ordered, _midpoints(centroids), right=True)
    return F.pad(F.pad(inner, (1, 0)), (0, 1), value=len(ordered))


def _midpoints(centroids: torch.Tensor) -> torch.Tensor:
    return (centroids[1:] + centroids[:-1]) / 2
