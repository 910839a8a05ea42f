"""What a task is: frozen facts and no logic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.tasks.recipe import Recipe

Origin = Literal["shipped", "trained", "torchvision"]


@dataclass(frozen=True)
class Reference:
    """The dense network that a submission starts from and is compared with.

    Attributes:
        origin: `shipped` with the repository; `trained` on first use, by the recipe, from the
            model's pretrained weights where it has some; or `torchvision`'s published weights.
        weights: file name: under `harness/references/shipped/`, or in the user's cache.
        sha256: of the file; of torchvision's, the digits in its name; None where it is `trained`
            anew on each machine.
        value: the metric on the full test set. Measured by the harness in float32 on ONNX Runtime,
            except where `basis` says that it is the published one.
        published, published_source: what the paper or the weights' maker reports.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    weights: str
    sha256: str | None
    value: float
    origin: Origin = "shipped"
    basis: Literal["measured", "published"] = "measured"
    published: float | None = None
    published_source: str | None = None


@dataclass(frozen=True)
class InputContract:
    """What a submission's ONNX file must take and give; the batch dimension is free.

    Attributes:
        shape: of one sample, without the batch dimension.
        dtype: float32, or int64 where the input is token ids.
        classes: length of the output's second dimension.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    shape: tuple[int, ...]
    classes: int
    dtype: Literal["float32", "int64"] = "float32"

    def __post_init__(self) -> None:
        if min(self.shape, default=1) < 1 or self.classes < 1:
            raise ValueError(f"lengths are 1 or more, not shape={list(self.shape)} and classes={self.classes}")


@dataclass(frozen=True)
class Budget:
    """What a submission may spend.

    Attributes:
        compress_s: wall-clock limit on `compress`, enforced.
        onnx_bytes: limit on the delivered file, enforced.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    compress_s: float
    onnx_bytes: int

    def __post_init__(self) -> None:
        if not 0 < self.compress_s < math.inf or self.onnx_bytes < 1:
            raise ValueError(
                f"compress_s ({self.compress_s}) must be a finite number of seconds above 0, and onnx_bytes "
                f"({self.onnx_bytes}) 1 or more"
            )


@dataclass(frozen=True)
class Task:
    """A workload and the quality that must be kept.

    Attributes:
        dataset_sha256: of the decoded content (`harness.data.dataset.content_hash`); None where the
            data are too large to hash at each start, and their layout is checked instead.
        parameters: trainable ones of the dense model.
        macs: multiply–accumulates of one sample, counted in its ONNX graph (`hw_targets.graph.trace`).
        quality_ratio: a submission must keep this share of the reference's value; MLPerf's is 0.99.
        superseded_by: the task that replaces this one, for results that were made before.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    version: int
    title: str
    dataset: str
    dataset_sha256: str | None
    model: str
    parameters: int
    macs: int
    metric: Literal["top1_accuracy"]
    reference: Reference
    input: InputContract
    recipe: Recipe
    budget: Budget
    citation: str
    quality_ratio: float = 0.99
    superseded_by: str | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.quality_ratio <= 1 or not 0 < self.reference.value <= 1:
            raise ValueError(
                f"quality_ratio ({self.quality_ratio}) and reference.value ({self.reference.value}) must be above 0 "
                "and at most 1: a gate at zero lets everything through"
            )
        if self.version < 1 or self.parameters < 1 or self.macs < 1:
            raise ValueError("version, parameters and macs must be 1 or more")

    @property
    def quality_target(self) -> float:
        """The metric's value that a submission must reach."""
        return self.quality_ratio * self.reference.value
