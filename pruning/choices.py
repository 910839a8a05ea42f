"""A pipeline's choices by name, held against one another before any work.

The choices are orthogonal, but not every combination says something: scores of whole filters tell
nothing of single weights, and a pattern that keeps 2 of every 4 leaves nothing for a ratio to
decide. Such a combination is refused, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pruning.criteria import CRITERIA, Criterion
from pruning.granularity import GRANULARITIES, Granularity, Pattern
from pruning.names import choose
from pruning.options import check_names, check_types, made
from pruning.quantise.quantisers import QUANTISERS, Quantiser
from pruning.ratios import ALLOCATIONS, RATIOS, Problem, Ratio
from pruning.recovery import PENALTIES, Regularised
from pruning.schedules import SCHEDULES, Schedule

RECOVERIES = ("none", "fine_tune", "distil", "reconstruct")
KINDS = ("criterion", "granularity", "ratio", "schedule", "quantise")


@dataclass(frozen=True)
class Choices:
    """A whole pipeline by names, as `pruning.pipeline.run` takes it.

    Attributes:
        criterion, granularity, ratio, schedule: names in the tables of their packages; a ratio may also
            be an allocation. The ratio's default is `global`; a pattern takes none.
        recovery: none, fine_tune, distil (from the dense model) or reconstruct (least squares layer by
            layer, then fine-tuning).
        penalty: a name in `PENALTIES`, added to the loss with `penalty_strength` while it trains.
        sparsity: the share to remove, in [0, 1); of what, the ratio says. None with a pattern.
        epochs: of each training of the schedule.
        learning_rate: its peak; None for the training loop's own.
        start: "fresh" prunes a newly initialised model in place of the trained one (SNIP, RigL); a teacher
            is the trained one all the same.
        layers: names of layers; "hidden" for the hidden layers of transformers; default all, or with
            `shrink` those whose filters (channels) can be taken out. Heads are those of all blocks.
        shrink: take out for good what is masked whole.
        quantise: none, codebook, int8 or qat, at the end. The latter two have integers between the layers
            too, unless their option `activations` is false.
        batches: of training data that a criterion looks at.
        options: of each choice by its kind: `{"criterion": {"p": 2}, "schedule": {"steps": 5}}`. With
            `ratio="per_layer"` the shares are its option `sparsity`, and the field above stays None.

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
        self._check_types()
        choose("schedule", self.schedule, SCHEDULES)
        choose("recovery", self.recovery, dict.fromkeys(RECOVERIES))
        choose("quantiser", self.quantise, {"none": None, **QUANTISERS})
        if self.start not in ("trained", "fresh"):
            raise ValueError(f"start is trained or fresh, not {self.start!r}.")
        if self.epochs < 0 or self.batches < 1:
            raise ValueError(f"epochs must be 0 or more and batches 1 or more, not {self.epochs} and {self.batches}.")
        if self.sparsity is not None and not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity is the share that is removed, in 0…1 without 1, not {self.sparsity}.")
        self.make_penalty()
        groups = self.make_granularity()
        self._check_criterion(self.make_criterion())
        self._check_share(isinstance(groups, Pattern))
        self._check_schedule(SCHEDULES[self.schedule])
        self._check_start()
        if self.joins_layers:
            self._check_joint()
        self._check_options()
        if self.shrink and not self.can_shrink:
            able = ", ".join(name for name, kind in GRANULARITIES.items() if getattr(kind, "shrinkable", False))
            raise ValueError(
                f"shrink takes out what is removed whole, and granularity={self.granularity} leaves holes; "
                f"choose one of {able}."
            )

    @property
    def can_shrink(self) -> bool:
        """Whether what the granularity prunes can be taken out."""
        return bool(getattr(GRANULARITIES[self.granularity], "shrinkable", False))

    @property
    def joins_layers(self) -> bool:
        """Whether a group of the granularity lies in several layers."""
        return bool(getattr(GRANULARITIES[self.granularity], "several_layers", False))

    @property
    def quantiser(self) -> Quantiser | None:
        """The last step, or None for none."""
        return QUANTISERS.get(self.quantise)

    def _check_types(self) -> None:
        """What a command line can get wrong."""
        for name in ("epochs", "batches"):
            if not isinstance(getattr(self, name), int):
                raise ValueError(f"{name} must be a whole number, not {getattr(self, name)!r}.")
        for name in ("sparsity", "learning_rate", "penalty_strength"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, (int, float)):
                raise ValueError(f"{name} must be a number, not {value!r}.")
        if isinstance(self.layers, str) and self.layers != "hidden":
            raise ValueError(f"layers must be a list of names, or hidden: write [{self.layers}].")
        if not isinstance(self.options, Mapping):
            raise ValueError(f"options must map each kind of choice to its options, not {self.options!r}.")
        for kind, options in self.options.items():
            choose("kind of options", kind, dict.fromkeys(KINDS))
            if not isinstance(options, Mapping):
                raise ValueError(f"options.{kind} must map names to values, not {options!r}.")

    def _check_criterion(self, criterion: Criterion) -> None:
        if criterion.unit not in ("weight", self.granularity):
            raise ValueError(
                f"criterion={self.criterion} scores whole {criterion.unit}s and says nothing about single weights or "
                f"other groups of them; choose granularity={criterion.unit}, or another criterion."
            )
        if not getattr(criterion, "comparable_across_layers", True) and self.ratio in (None, "global"):
            raise ValueError(
                f"Scores by criterion={self.criterion} compare within a layer only, so one threshold over all layers "
                "says nothing; choose ratio=uniform, or an allocation."
            )

    def _check_share(self, is_pattern: bool) -> None:
        if self.ratio == "per_layer" and not is_pattern:
            if self.sparsity is not None or "sparsity" not in self.options.get("ratio", {}):
                raise ValueError(
                    "ratio=per_layer takes the share of each layer, as options.ratio.sparsity, a mapping from the name "
                    "of its weight; leave sparsity itself out."
                )
            if SCHEDULES[self.schedule].several:
                raise ValueError(f"ratio=per_layer has one share a layer, and schedule={self.schedule} several.")
            self.make_ratio(0.0)
            return
        if "sparsity" in self.options.get("ratio", {}):
            raise ValueError("The share to remove is sparsity itself, not options.ratio.sparsity.")
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
        if SCHEDULES[self.schedule].several:
            raise ValueError(f"granularity={self.granularity} has one sparsity, and schedule={self.schedule} several.")

    def _check_schedule(self, schedule: Schedule) -> None:
        if schedule.single_weights and (self.granularity != "element" or self.shrink):
            raise ValueError(
                f"schedule={self.schedule} moves single weights; choose granularity=element, without shrink."
            )
        if schedule.trains and (self.epochs < 1 or self.recovery in ("none", "reconstruct")):
            raise ValueError(
                f"schedule={self.schedule} prunes while it trains; choose epochs=1 or more, and recovery=fine_tune "
                "or distil."
            )
        if schedule.takes_fresh and self.start == "fresh":
            raise ValueError(f"schedule={self.schedule} trains the fresh model itself; leave out start=fresh.")

    def _check_start(self) -> None:
        if self.start == "trained":
            return
        if self.recovery == "reconstruct":
            raise ValueError("recovery=reconstruct solves for the trained model's outputs and undoes start=fresh.")
        if self.recovery == "none" or self.epochs < 1:
            raise ValueError(
                "start=fresh prunes a model that is yet to be trained; choose a recovery, and epochs=1 or more."
            )
        if self.ratio is not None and self.ratio in ALLOCATIONS and ALLOCATIONS[self.ratio].judges:
            raise ValueError(f"ratio={self.ratio} judges by accuracy, and with start=fresh there is none yet.")

    def _check_joint(self) -> None:
        if self.ratio in ALLOCATIONS:
            raise ValueError(
                f"granularity={self.granularity} cuts four layers at once, and ratio={self.ratio} shares out by layer."
            )
        if self.layers is not None or self.skip_first_conv or self.skip_last_linear:
            raise ValueError(
                f"granularity={self.granularity} takes the heads of all blocks; leave layers and skip_… out."
            )
        if self.options.get("granularity"):
            raise ValueError(
                f"granularity={self.granularity} reads the size of a head from the model; leave its options out."
            )

    def _check_options(self) -> None:
        """The options of what is made later: of the schedule, an allocation, the quantiser."""
        schedule, given = SCHEDULES[self.schedule], self.options.get("schedule", {})
        check_names("schedule", self.schedule, given, schedule.options)
        check_types("schedule", schedule.function, given)
        given = self.options.get("quantise", {})
        check_names("quantise", self.quantise, given, self.quantiser.options if self.quantiser else ())
        if self.quantiser:
            check_types("quantise", self.quantiser.technique, given)
        if self.ratio is not None and self.ratio in ALLOCATIONS:
            known = (*ALLOCATIONS[self.ratio].options, *Problem.OPTIONS)
            check_names("ratio", self.ratio, self.options.get("ratio", {}), known)

    def make_criterion(self) -> Criterion:
        """The criterion, with its options; APoZ counts the zeros of what the granularity removes."""
        options = dict(self.options.get("criterion", {}))
        if self.criterion == "apoz" and self.granularity == "channel":
            options.setdefault("unit", "channel")
        return made("criterion", self.criterion, choose("criterion", self.criterion, CRITERIA), options)

    def make_granularity(self) -> Granularity | Pattern:
        """The granularity, with its options."""
        factory = choose("granularity", self.granularity, GRANULARITIES)
        return made("granularity", self.granularity, factory, self.options.get("granularity", {}))

    def make_ratio(self, sparsity: float) -> Ratio:
        """The ratio at `sparsity`, with its options; not for allocations."""
        name = self.ratio or "global"
        factory: Any = choose("ratio", name, {**RATIOS, **ALLOCATIONS})
        # A layer without units, or channels, cuts the network through.
        least = {"keep_at_least": 1} if self.can_shrink else {}
        return made("ratio", name, factory, {"sparsity": sparsity, **least, **self.options.get("ratio", {})})

    def make_penalty(self) -> Regularised | None:
        """The loss with its penalty, or None for the plain one."""
        if self.penalty is None:
            return None
        return Regularised(choose("penalty", self.penalty, PENALTIES)(), self.penalty_strength)
