"""Criterion × granularity × ratio × schedule, recovery, shrinking, quantising: one pipeline from names.

Each step is a call that can be made by hand just as well; the submissions show how. What the
pipeline adds is the order, and what has to go along:

1. The ratio is set, by a rule or by an allocation. An allocation searches once, for the final share;
   a schedule of several steps takes each layer's share in proportion.
2. The schedule prunes and recovers. Where the network is to shrink, biases and batch norms of removed
   filters are masked with them, so that fine-tuning sees what will be left.
3. What is masked whole is taken out. A schedule of one step recovers after that: its mask stays as it
   is, so the small network learns what the masked one would, in less time.
4. The weights that are left are quantised; to integers with what flows between the layers, calibrated
   on the batches that criteria look at, too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import Any, Protocol

import torch
from torch import nn

from pruning.choices import Choices
from pruning.criteria import reconstruct
from pruning.granularity import Pattern
from pruning.layers import weight_layers, weight_names
from pruning.mask import Mask
from pruning.masking import make_mask
from pruning.quantise.quantisers import Material
from pruning.ratios import ALLOCATIONS, PerLayer, Problem, Ratio
from pruning.recovery import fine_tune
from pruning.schedules import SCHEDULES
from pruning.shrinking import (
    Trace,
    coupled,
    from_channels,
    head_mask,
    hidden_layers,
    left_over,
    prunable_filters,
    shrink,
    shrink_heads,
)


class Data(Protocol):
    """Training batches of `(inputs, labels)`, and one batch of inputs for shapes."""

    @property
    def train(self) -> Iterable[tuple[torch.Tensor, torch.Tensor]]: ...

    @property
    def sample(self) -> torch.Tensor: ...


class Tools(Protocol):
    """What a pipeline works with; the harness's context is one."""

    @property
    def seed(self) -> int: ...

    @property
    def data(self) -> Data: ...

    @property
    def fresh_model(self) -> Callable[[int], nn.Module]: ...

    @property
    def train(self) -> Callable[..., nn.Module]: ...

    @property
    def evaluate(self) -> Callable[[nn.Module], float]: ...

    @property
    def latency(self) -> Callable[[nn.Module], float]: ...


def run(model: nn.Module, choices: Choices, tools: Tools) -> nn.Module:
    """Compress `model` as chosen; it may be changed in place.

    Returns:
        The compressed model.

    Raises:
        ValueError: a technique cannot be applied to this model; the message says where and why.
    """
    return _Run(model, choices, tools).compressed()


class _Run:
    """One run: the model as it was, and what the steps share."""

    def __init__(self, model: nn.Module, choices: Choices, tools: Tools) -> None:
        self.choices, self.tools = choices, tools
        self.inputs = tools.data.sample[:2]
        self.dense = copy.deepcopy(model)
        self.model = tools.fresh_model(tools.seed) if choices.start == "fresh" else model
        self.criterion, self.groups = choices.make_criterion(), choices.make_granularity()
        if choices.quantiser is not None:  # before any work
            choices.quantiser.check(model, choices.options.get("quantise", {}))

    def compressed(self) -> nn.Module:
        choices = self.choices
        epochs = 0 if choices.recovery == "none" else choices.epochs
        small_first = choices.shrink and not SCHEDULES[choices.schedule].several
        model, mask = self.scheduled(0 if small_first else epochs)
        if choices.recovery == "reconstruct" and (small_first or not epochs):  # else it comes before each training
            model = reconstruct(model, self.dense, mask, self.batches)
        left: Mask | None = mask
        if choices.shrink and choices.joins_layers:
            model, left = shrink_heads(model, mask, self.inputs), None
        elif choices.shrink:
            model, left = shrink(model, mask, self.trace), left_over(model, mask, self.trace)
        if small_first and epochs:
            model = self.recover(model, epochs=epochs, learning_rate=choices.learning_rate, mask=left)
        return self.quantised(model, left)

    def scheduled(self, epochs: int) -> tuple[nn.Module, Mask]:
        """The model and its mask after the schedule, with `epochs` in each of its trainings."""
        choices, options = self.choices, dict(self.choices.options.get("schedule", {}))
        schedule = SCHEDULES[choices.schedule]
        if schedule.takes_fresh:
            options.setdefault("initial", partial(self.tools.fresh_model, self.tools.seed))
        return schedule(
            self.model,
            self.mask_at,
            sparsity=choices.sparsity or 0.0,
            train=self.train,
            epochs=epochs,
            learning_rate=choices.learning_rate,
            **options,
        )

    @cached_property
    def batches(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """What criteria look at: the same batches in every step."""
        return list(islice(self.tools.data.train, self.choices.batches))

    @cached_property
    def trace(self) -> Trace:
        """How the channels hang together, followed once: weights change, the structure does not."""
        return Trace(self.model, self.inputs)

    @cached_property
    def layers(self) -> Sequence[str] | None:
        """The layers to prune; None for all."""
        choices = self.choices
        if choices.layers == "hidden":
            return hidden_layers(self.model)
        if choices.layers is not None or not choices.shrink:
            return choices.layers
        names = prunable_filters(self.model, self.trace)
        if choices.granularity == "channel":  # of the layers that read what can be taken out
            readers = {reader for name in names for reader in self.trace.stream(name).readers}
            return [name for name in weight_layers(self.model) if name in readers]
        return names

    def mask_at(self, model: nn.Module, sparsity: float, within: Mask | None) -> Mask:
        ratio = None if isinstance(self.groups, Pattern) else self.ratio(sparsity)
        return self.masked(model, ratio, within)

    def masked(self, model: nn.Module, ratio: Ratio | None, within: Mask | None) -> Mask:
        if self.choices.joins_layers:
            assert ratio is not None  # heads are groups, not a pattern
            return head_mask(model, criterion=self.criterion, ratio=ratio, data=self.batches, within=within)
        mask = make_mask(
            model,
            criterion=self.criterion,
            granularity=self.groups,
            ratio=ratio,
            layers=self.layers,
            skip_first_conv=self.choices.skip_first_conv,
            skip_last_linear=self.choices.skip_last_linear,
            data=self.batches if getattr(self.criterion, "needs_data", True) else None,
            within=within,
        )
        if not self.choices.shrink:
            return mask
        if self.choices.granularity == "channel":
            mask = from_channels(model, mask, self.trace)
        return coupled(model, mask, self.trace)

    def ratio(self, sparsity: float) -> Ratio:
        if self.choices.ratio not in ALLOCATIONS:
            return self.choices.make_ratio(sparsity)
        assert self.choices.sparsity is not None
        part = sparsity / self.choices.sparsity if self.choices.sparsity else 0.0
        found = self.allocation
        shares = {name: share * part for name, share in found.sparsity.items()}
        return PerLayer(shares, multiple_of=found.multiple_of, keep_at_least=found.keep_at_least)

    @cached_property
    def allocation(self) -> PerLayer:
        """Each layer's share of the final sparsity, searched on the model as it was."""
        choices = self.choices
        options = dict(choices.options.get("ratio", {}))
        rounding = {name: options.pop(name) for name in ("multiple_of", "keep_at_least") if name in options}
        names = weight_names(
            self.model,
            self.layers,
            skip_first_conv=choices.skip_first_conv,
            skip_last_linear=choices.skip_last_linear,
        )
        problem = Problem(
            self.model,
            tuple(names),
            self.masked,
            evaluate=self.tools.evaluate,
            train=self.short_training if options.pop("fine_tune", False) else None,
            example_inputs=self.inputs[:1],
            shrink=(lambda model, mask: shrink(model, mask, self.trace)) if choices.shrink else None,
            latency=self.tools.latency if options.pop("by_latency", False) else None,
            group_dim=1 if choices.granularity == "channel" else 0,
            **rounding,
        )
        assert choices.sparsity is not None  # an allocation has a share to allocate
        return ALLOCATIONS[str(choices.ratio)](problem, choices.sparsity, **options)

    def short_training(self, model: nn.Module, mask: Mask) -> nn.Module:
        return fine_tune(model, mask, train=self.train, epochs=1, learning_rate=self.choices.learning_rate)

    def train(self, model: nn.Module, **how: Any) -> nn.Module:
        """A training of the schedule, under its mask."""
        if self.choices.recovery == "reconstruct":
            model = reconstruct(model, self.dense, how["mask"], self.batches)
        return self.recover(model, **how)

    def recover(self, model: nn.Module, **how: Any) -> nn.Module:
        """The tools' training, with the teacher and the penalty that were chosen."""
        if self.choices.recovery == "distil":
            how["teacher"] = self.dense
        loss = self.choices.make_penalty()
        return self.tools.train(model, **how, **({"loss": loss} if loss else {}))

    def quantised(self, model: nn.Module, mask: Mask | None) -> nn.Module:
        choices, train = self.choices, self.tools.train
        if choices.quantiser is None:
            return model
        if choices.recovery == "distil":
            train = partial(train, teacher=self.dense)
        material = Material(mask, self.batches, train, choices.epochs, choices.learning_rate)
        return choices.quantiser(model, material, **choices.options.get("quantise", {}))
