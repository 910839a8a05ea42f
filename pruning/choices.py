"""A pipeline's choices by name, held against one another before any work.

The choices are orthogonal, but not every combination says something: scores of whole filters tell
nothing of single weights, and a pattern that keeps 2 of every 4 leaves nothing for a ratio to
decide. Such a combination is refused, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pruning.criteria import CRITERIA, Criterion
from pruning.granularity import GRANULARITIES, Granularity, Pattern
from pruning.names import choose
from pruning.ratios import ALLOCATIONS, RATIOS, Ratio
from pruning.recovery import PENALTIES, Regularised
from pruning.schedules import SCHEDULES

T = TypeVar("T")
RECOVERIES = ("none", "fine_tune", "distil", "reconstruct")
QUANTISERS = ("none", "codebook", "int8", "qat")
KINDS = ("criterion", "granularity", "ratio", "schedule", "quantise")
WITHIN_LAYERS = ("feature_map", "regression")
SHRINKABLE = ("filter", "channel", "heads")
TRAINING = ("gradual", "rigl", "lottery")  # they prune while they train


@dataclass(frozen=True)
class Choices:
    """What `pruning.pipeline.run` is to do.

    Attributes:
        criterion, granularity, ratio, schedule: names in the tables of their packages; a ratio may also
            be an allocation. The ratio's default is `global`; a pattern takes none.
        recovery: none, fine_tune, distil (from the dense model) or reconstruct (least squares layer by
            layer, then fine-tuning).
        penalty: a name in `PENALTIES`, added to the loss with `penalty_strength` while it trains.
        sparsity: the share to remove, in [0, 1); of what, the ratio says. None with a pattern.
        epochs: of each training of the schedule.
        learning_rate: its peak; None for the training loop's own.
        start: "fresh" prunes a newly initialised model in place of the trained one (SNIP, RigL).
        layers: names of layers; "hidden" for the hidden layers of transformers; default all, or with
            `shrink` those that can shrink.
        shrink: take out for good what is masked whole.
        quantise: none, codebook, int8 or qat, at the end.
        batches: of training data that a criterion looks at.
        options: of each choice by its kind: `{"criterion": {"p": 2}, "schedule": {"steps": 5}}`.

    Raises:
        ValueError: an unknown name (with the nearest), a number out of its range, an option that the
            choice does not take, or a combination that makes no sense.
    """

    criterion: str = "magnitude"
    granularity: str = "element"
    ratio: str | None = None
    schedule: str = "one_shot"
    recovery: str = "fine_tune"
    penalty: str | None = None
    penalty_strength: float = 1e-4
    sparsity: float | None = None
    epochs: int = 1
    learning_rate: float | None = None
    start: Literal["trained", "fresh"] = "trained"
    layers: Sequence[str] | Literal["hidden"] | None = None
    skip_first_conv: bool = False
    skip_last_linear: bool = False
    shrink: bool = False
    quantise: str = "none"
    batches: int = 4
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in self.options:
            choose("kind of options", kind, dict.fromkeys(KINDS))
        choose("schedule", self.schedule, SCHEDULES)
        choose("recovery", self.recovery, dict.fromkeys(RECOVERIES))
        choose("quantiser", self.quantise, dict.fromkeys(QUANTISERS))
        if self.start not in ("trained", "fresh"):
            raise ValueError(f"start is trained or fresh, not {self.start!r}.")
        if self.epochs < 0 or self.batches < 1:
            raise ValueError(f"epochs must be 0 or more and batches 1 or more, not {self.epochs} and {self.batches}.")
        if self.sparsity is not None and not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity is the share that is removed, in 0…1 without 1, not {self.sparsity}.")
        self.make_penalty()
        criterion, groups = self.make_criterion(), self.make_granularity()
        if criterion.unit != "weight" and self.granularity != criterion.unit:
            raise ValueError(
                f"criterion={self.criterion} scores whole {criterion.unit}s and says nothing about single weights or "
                f"other groups of them; choose granularity={criterion.unit}, or another criterion."
            )
        if self.criterion in WITHIN_LAYERS and self.ratio in (None, "global"):
            raise ValueError(
                f"Scores by criterion={self.criterion} compare within a layer only, so one threshold over all layers "
                "says nothing; choose ratio=uniform, or an allocation."
            )
        self._check_share(isinstance(groups, Pattern))
        self._check_schedule()
        if self.shrink and self.granularity not in SHRINKABLE:
            raise ValueError(
                f"shrink takes out what is removed whole, and granularity={self.granularity} leaves holes; "
                f"choose one of {', '.join(SHRINKABLE)}."
            )

    def _check_share(self, is_pattern: bool) -> None:
        if not is_pattern:
            if self.sparsity is None:
                raise ValueError("sparsity is not set: the share to remove, for example sparsity=0.5.")
            if self.ratio not in ALLOCATIONS:
                self.make_ratio(self.sparsity)
            return
        if self.ratio is not None or self.sparsity is not None:
            raise ValueError(
                f"granularity={self.granularity} fixes by itself how many weights stay; leave ratio and sparsity out "
                "(its options say how many)."
            )
        if self.schedule != "one_shot":
            raise ValueError(f"granularity={self.granularity} has one sparsity, and schedule={self.schedule} several.")

    def _check_schedule(self) -> None:
        if self.schedule == "rigl" and (self.granularity != "element" or self.shrink):
            raise ValueError("schedule=rigl moves single weights; choose granularity=element, without shrink.")
        if self.schedule in TRAINING and (self.epochs < 1 or self.recovery in ("none", "reconstruct")):
            raise ValueError(
                f"schedule={self.schedule} prunes while it trains; choose epochs=1 or more, and recovery=fine_tune "
                "or distil."
            )
        if self.schedule == "lottery" and self.start == "fresh":
            raise ValueError("schedule=lottery trains the fresh model itself; leave out start=fresh.")
        if self.start == "fresh" and self.recovery == "distil":
            raise ValueError("recovery=distil learns from the model that was pruned; with start=fresh it is untrained.")

    def make_criterion(self) -> Criterion:
        """The criterion, with its options; APoZ counts the zeros of what the granularity removes."""
        options = dict(self.options.get("criterion", {}))
        if self.criterion == "apoz" and self.granularity == "channel":
            options.setdefault("unit", "channel")
        return _made("criterion", self.criterion, choose("criterion", self.criterion, CRITERIA), options)

    def make_granularity(self) -> Granularity | Pattern:
        """The granularity, with its options."""
        factory = choose("granularity", self.granularity, GRANULARITIES)
        return _made("granularity", self.granularity, factory, self.options.get("granularity", {}))

    def make_ratio(self, sparsity: float) -> Ratio:
        """The ratio at `sparsity`, with its options; not for allocations."""
        name = self.ratio or "global"
        factory = choose("ratio", name, {**RATIOS, **ALLOCATIONS})
        least = {"keep_at_least": 1} if self.shrink else {}  # a layer without units cuts the network through
        return _made("ratio", name, factory, {"sparsity": sparsity, **least, **self.options.get("ratio", {})})

    def make_penalty(self) -> Regularised | None:
        """The loss with its penalty, or None for the plain one."""
        if self.penalty is None:
            return None
        return Regularised(choose("penalty", self.penalty, PENALTIES)(), self.penalty_strength)


def _made(kind: str, name: str, factory: Any, options: Mapping[str, Any]) -> Any:
    try:
        return factory(**options)
    except TypeError as error:
        raise ValueError(f"{kind}={name} does not take the options {dict(options)}: {error}") from error
