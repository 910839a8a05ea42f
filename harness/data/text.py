"""Batches of token ids: sentences of one fixed length, filled up with token 0.

Every part of the harness hands one tensor to one input. So the ids are all there is: the model
derives the attention mask from `ids != 0` (docs/decisions/006).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from harness.data.dataset import Part, Samples

if TYPE_CHECKING:
    from harness.tasks.recipe import Recipe

PADDING = 0  # [PAD] in BERT's vocabulary


@dataclass(frozen=True)
class TokenDataset:
    """Sentences as int32 token ids `[n, length]`, in memory."""

    name: str
    train: Samples
    validation: Samples
    test: Samples
    content_sha256: str | None

    def loader(self, part: Part, *, batch_size: int, recipe: Recipe | None = None, seed: int = 0) -> TokenLoader:
        """See `harness.data.dataset.Dataset.loader`."""
        samples: Samples = getattr(self, part)
        return TokenLoader(samples, batch_size=batch_size, training=recipe is not None, seed=seed)

    def without_test(self) -> TokenDataset:
        """The same with an empty test set: what a submission may learn from."""
        return replace(self, test=self.test.subset(np.arange(0)))


class TokenLoader:
    """Iterates over `(ids, labels)`: int64 `[batch, length]` and int64 `[batch]`.

    For training each pass shuffles anew, from `seed` and the number of the epoch alone, leaves out
    the last, incomplete batch, and cuts off the columns that are padding in the whole batch: they
    change nothing but the time. Otherwise the order is fixed, all samples come, and all have the
    full length, which an exported graph is bound to.
    """

    def __init__(self, data: Samples, *, batch_size: int, training: bool = False, seed: int = 0) -> None:
        self.ids = torch.from_numpy(data.inputs)
        self.labels = torch.from_numpy(data.labels).long()
        self.batch_size, self.training, self.seed = batch_size, training, seed
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in one pass."""
        whole, rest = divmod(len(self.labels), self.batch_size)
        return whole + (1 if rest and not self.training else 0)

    @property
    def sample_count(self) -> int:
        """Samples in one pass."""
        return min(len(self) * self.batch_size, len(self.labels))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = torch.arange(len(self.labels))
        if self.training:
            rng = np.random.Generator(np.random.PCG64([self.seed, self.epoch]))
            order = torch.from_numpy(rng.permutation(len(self.labels)))
            self.epoch += 1
        for batch in range(len(self)):
            index = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            ids = self.ids[index].long()
            yield (_trimmed(ids) if self.training else ids), self.labels[index]


def _trimmed(ids: torch.Tensor) -> torch.Tensor:
    used = (ids != PADDING).any(0).nonzero()
    return ids[:, : int(used.max()) + 1] if len(used) else ids[:, :1]
