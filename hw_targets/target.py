"""What a hardware target is: a name and four methods. One target, real or simulated, is one folder here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import onnx

Basis = Literal["measured", "simulated", "modelled"]
Effort = Literal["quick", "standard", "official"]


@dataclass(frozen=True)
class Quantity:
    """A number that says where it comes from.

    Attributes:
        value: in `unit`; the quantity's name ends in the unit too (`latency_p90_ns`).
        basis: measured on a machine, simulated event by event, or modelled from counts.
        source: the tool, the machine or the cited table.
        low, high: 95 % confidence interval, where one was estimated.
    """

    value: float
    unit: str
    basis: Basis
    source: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Measurement:
    """What a target found out about one model.

    Attributes:
        quantities: by name.
        absent: name of a quantity that could not be had → the reason. Nothing falls back silently.
        samples: raw samples by name (`latency_ns`, `dense_latency_ns`, …): percentiles are derived.
        artifacts: files to keep (logs), relative to the `workdir` given to `measure`.
        noisy: why the figures should not be trusted much (a busy machine), or None.
        conditions: what the figures depend on: threads, load, runtime options.
        layers: one row a layer for tables and plots: plain values by column name.
    """

    quantities: Mapping[str, Quantity]
    absent: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, list[float]] = field(default_factory=dict)
    artifacts: tuple[str, ...] = ()
    noisy: str | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Available:
    """The target can measure here; `detail` names the device."""

    detail: str


@dataclass(frozen=True)
class Unavailable:
    """The target cannot measure here, and why."""

    reason: str


class ModelRefused(Exception):
    """The target cannot hold or run a model, by limits that it documents (the submission's `invalid`)."""


class TargetError(Exception):
    """The target failed through no fault of the submission (the harness's `error`, never `invalid`)."""


@runtime_checkable
class Session(Protocol):
    """Runs a model on a target's own numerics."""

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """`[n, …]` inputs as the task's contract has them → `[n, classes]` outputs."""
        ...


class Target(Protocol):
    """What a compressed model runs on."""

    name: str

    def configuration(self) -> Mapping[str, Any]:
        """All options that change a result, as plain values; part of the measuring stage's key."""
        ...

    def availability(self) -> Available | Unavailable:
        """Whether this machine can measure, found out without running a model."""
        ...

    def numerics(self, model: onnx.ModelProto, calibration: np.ndarray) -> onnx.ModelProto | Session:
        """What the model's quality is judged on here: a graph for the evaluator, or a session.

        Args:
            calibration: real inputs `[n, …]`, never of the test set, for a target whose number formats
                must be chosen from the activations.

        Raises:
            ModelRefused: says what the target cannot hold or run.
        """
        ...

    def measure(
        self,
        model: onnx.ModelProto,
        dense: onnx.ModelProto,
        samples: np.ndarray,
        effort: Effort,
        workdir: Path,
    ) -> Measurement:
        """Measure `model`, interleaved in the same run with the `dense` reference.

        Args:
            samples: real inputs `[n, …]`, float32, drawn by the harness.
            workdir: an empty folder for logs and scratch files.

        Raises:
            ModelRefused: the target cannot run `model`, which only showed now.
            TargetError: no measurement could be made; says why.
        """
        ...
