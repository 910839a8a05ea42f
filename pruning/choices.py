"""A pipeline's choices by name, held against one another before any work.

The choices are orthogonal, but not every combination says something: scores of whole filters tell
nothing of single weights, and a pattern that keeps 2 of every 4 leaves nothing for a ratio to
decide. Such a combination is refused, with the reason.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pruning.criteria import CRITERIA, Criterion
from pruning.granularity import GRANULARITIES, Granularity, Pattern
from pruning.names import choose, nearest
from pruning.quantise import quantise_aware, share_weights, to_int8
from pruning.ratios import ALLOCATIONS, RATIOS, Ratio
from pruning.ratios.allocations import OPTIONS as ALLOCATION_OPTIONS
from pruning.recovery import PENALTIES, Regularised
from pruning.schedules import SCHEDULES

T = TypeVar("T")
RECOVERIES = ("none", "fine_tune", "distil", "reconstruct")
QUANTISED_BY = {"codebook": share_weights, "int8": to_int8, "qat": quantise_aware}
QUANTISERS = ("none", *QUANTISED_BY)
KINDS = ("criterion", "granularity", "ratio", "schedule", "quantise")
WITHIN_LAYERS = ("feature_map", "regression")
SHRINKABLE = ("filter", "channel", "heads")
JUDGED = ("sensitivity", "amc", "netadapt")  # allocations that evaluate pruned models
PROBLEM_OPTIONS = ("multiple_of", "keep_at_least", "fine_tune", "by_latency")
# What the pipeline itself hands to schedules and quantisers.
GIVEN = ("model", "mask_at", "sparsity", "train", "epochs", "learning_rate", "mask", "data", "calibration")
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
        self._check_start()
        self._check_heads()
        self._check_options()
        if self.shrink and self.granularity not in SHRINKABLE:
            raise ValueError(
                f"shrink takes out what is removed whole, and granularity={self.granularity} leaves holes; "
                f"choose one of {', '.join(SHRINKABLE)}."
            )

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

    def _check_share(self, is_pattern: bool) -> None:
        if self.ratio == "per_layer" and not is_pattern:
            if self.sparsity is not None or "sparsity" not in self.options.get("ratio", {}):
                raise ValueError(
                    "ratio=per_layer takes the share of each layer, as options.ratio.sparsity, a mapping from the name "
                    "of its weight; leave sparsity itself out."
                )
            if self.schedule != "one_shot":
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

    def _check_start(self) -> None:
        if self.start == "trained":
            return
        if self.recovery == "reconstruct":
            raise ValueError("recovery=reconstruct solves for the trained model's outputs and undoes start=fresh.")
        if self.recovery == "none" or self.epochs < 1:
            raise ValueError(
                "start=fresh prunes a model that is yet to be trained; choose a recovery, and epochs=1 or more."
            )
        if self.ratio in JUDGED:
            raise ValueError(f"ratio={self.ratio} judges by accuracy, and with start=fresh there is none yet.")

    def _check_heads(self) -> None:
        if self.granularity != "heads":
            return
        if self.ratio in ALLOCATIONS:
            raise ValueError(f"granularity=heads cuts four layers at once, and ratio={self.ratio} shares out by layer.")
        if self.layers is not None or self.skip_first_conv or self.skip_last_linear:
            raise ValueError("granularity=heads takes the heads of all blocks; leave layers and skip_… out.")
        if self.options.get("granularity"):
            raise ValueError("granularity=heads reads the size of a head from the model; leave its options out.")

    def _check_options(self) -> None:
        """The options of what is made later: of the schedule, an allocation, the quantiser."""
        taken = {"schedule": _keywords(SCHEDULES[self.schedule])}
        taken["quantise"] = _keywords(QUANTISED_BY[self.quantise]) if self.quantise != "none" else []
        if self.quantise in ("codebook", "qat"):
            taken["quantise"].append("epochs")
        if self.quantise in ("int8", "qat"):
            taken["quantise"].append("activations")
        if self.ratio is not None and self.ratio in ALLOCATIONS:
            taken["ratio"] = [*ALLOCATION_OPTIONS[self.ratio], *PROBLEM_OPTIONS]
        for kind, known in taken.items():
            for name in self.options.get(kind, {}):
                if name not in known:
                    raise ValueError(f"{kind}={getattr(self, kind)} has no option {name!r}. {nearest(name, known)}")
        _check_kinds("schedule", SCHEDULES[self.schedule], self.options.get("schedule", {}))
        if self.quantise != "none":
            _check_kinds("quantise", QUANTISED_BY[self.quantise], self.options.get("quantise", {}))

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
        # A layer without units, or channels, cuts the network through.
        least = {"keep_at_least": 1} if self.granularity in SHRINKABLE else {}
        return _made("ratio", name, factory, {"sparsity": sparsity, **least, **self.options.get("ratio", {})})

    def make_penalty(self) -> Regularised | None:
        """The loss with its penalty, or None for the plain one."""
        if self.penalty is None:
            return None
        return Regularised(choose("penalty", self.penalty, PENALTIES)(), self.penalty_strength)


def _keywords(function: Any) -> list[str]:
    """The parameters of `function` that are a user's to set."""
    return [name for name in inspect.signature(function).parameters if name not in GIVEN]


def _check_kinds(kind: str, function: Any, options: Mapping[str, Any]) -> None:
    """Hold each option against the type that `function` names for it, where that is a number, a word or a truth value.

    Raises:
        ValueError: it is of another type.
    """
    types = {"bool": (bool,), "int": (int,), "float": (int, float), "str": (str,)}
    parameters = inspect.signature(function).parameters
    for name, value in options.items():
        wanted = parameters[name].annotation if name in parameters else None
        allowed = types.get(wanted) if isinstance(wanted, str) else None
        if allowed and (not isinstance(value, allowed) or (isinstance(value, bool) and wanted != "bool")):
            raise ValueError(f"options.{kind}.{name} is of type {wanted}; {value!r} is not.")


def _made(kind: str, name: str, factory: Any, options: Mapping[str, Any]) -> Any:
    try:
        return factory(**options)
    except TypeError as error:
        raise ValueError(f"{kind}={name} does not take the options {dict(options)}: {error}") from error
