"""NetAdapt: cut a little where it hurts least, by measured cost, until the budget is met.

Yang et al. 2018, arXiv 1804.03230. In each iteration the cost must fall by a step. Every layer in
turn is tried with the smallest cut that does it, fine-tuned briefly and evaluated; the most
accurate proposal wins. Costs come from a table of measured layers, so nothing is measured in the
loop. Every iteration leaves a model: a family of them, from dear to cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pruning.names import nearest
from pruning.ratios.counting import check_rounding

Model = TypeVar("Model")


@dataclass(frozen=True)
class LatencyTable:
    """Measured times of single layers, which sum to that of the model.

    Attributes:
        seconds: layer → (filters kept of the layer that it reads, own filters kept) → time. The
            first number is 0 where it reads no layer of the table. Any unit will do.
        reads: layer → the layer of the table that feeds it.
        fixed: time of all that is not in the table.
    """

    seconds: Mapping[str, Mapping[tuple[int, int], float]]
    reads: Mapping[str, str]
    fixed: float = 0.0

    @classmethod
    def measured(
        cls,
        widths: Mapping[str, int],
        measure: Callable[[str, int, int], float],
        *,
        reads: Mapping[str, str] | None = None,
        multiple_of: int = 1,
        fixed: float = 0.0,
    ) -> LatencyTable:
        """Measure every layer at every number of filters that `netadapt` may try.

        Args:
            widths: layer → filters that it has.
            measure: `(layer, filters kept of the layer it reads or 0, own filters kept) → time`.
            multiple_of: only multiples, and the full widths; a coarse table is measured sooner.

        Raises:
            ValueError: `reads` names a layer without a width.
        """
        reads = dict(reads or {})
        for name in (*reads.keys(), *reads.values()):
            if name not in widths:
                raise ValueError(f"reads= names {name!r}, of which no width is given. {nearest(name, widths)}")
        counts = {name: filter_counts(width, multiple_of=multiple_of) for name, width in widths.items()}
        seconds = {
            name: {
                (inputs, own): float(measure(name, inputs, own))
                for inputs in (counts[reads[name]] if name in reads else [0])
                for own in counts[name]
            }
            for name in widths
        }
        return cls(seconds, reads, fixed)

    def __call__(self, kept: Mapping[str, int]) -> float:
        """The time with these numbers of filters.

        Raises:
            ValueError: a layer is missing in `kept`, or was not measured so.
        """
        return self.fixed + sum(self._of(name, kept) for name in self.seconds)

    def _of(self, name: str, kept: Mapping[str, int]) -> float:
        feeding = self.reads.get(name)
        for needed in (name, feeding):
            if needed is not None and needed not in kept:
                raise ValueError(f"The number of filters that {needed} keeps is missing.")
        key = (0 if feeding is None else kept[feeding], kept[name])
        if key not in self.seconds[name]:
            raise ValueError(f"{name} was not measured with {key[1]} filters and {key[0]} of the layer it reads.")
        return self.seconds[name][key]


@dataclass(frozen=True)
class Step(Generic[Model]):
    """One member of the family: the winner of an iteration.

    Attributes:
        layer: the layer that was cut.
        kept: layer → filters kept, after the cut.
        accuracy: after short-term fine-tuning.
        resource: what it costs, in the unit of the budget.
        model: itself.
    """

    layer: str
    kept: Mapping[str, int]
    accuracy: float
    resource: float
    model: Model


def netadapt(
    model: Model,
    widths: Mapping[str, int],
    *,
    prune: Callable[[Model, str, int], Model],
    evaluate: Callable[[Model], float],
    resource: Callable[[Mapping[str, int]], float],
    budget: float,
    short_term: Callable[[Model], Model] | None = None,
    first_step: float = 0.025,
    decay: float = 0.96,
    multiple_of: int = 1,
    keep_at_least: int = 1,
) -> Iterator[Step[Model]]:
    """Yield ever cheaper models, the last of which meets `budget`; none if the model does.

    Where no single layer can give a whole step, the step is as large as one layer can make it.

    Args:
        widths: layer → filters that it has, for the layers that may be cut.
        prune: `(model, layer, filters to keep) → a new model`; what it is given must stay as it was.
        resource: layer → filters kept in, cost out: a `LatencyTable`, or any function.
        budget: in the unit of `resource`.
        short_term: brief fine-tuning of a proposal; it may work in place.
        first_step: share of the whole model's cost that the first iteration removes.
        decay: of the step, from one iteration to the next.

    Raises:
        ValueError: a number out of its range; or the budget cannot be met, at once if it is out of
            reach with all layers at their least, else where no cut makes the model cheaper. The
            message says what can be met.
    """
    if not 0 < first_step < 1 or not 0 < decay <= 1:
        raise ValueError(f"first_step must be between 0 and 1 and decay in 0…1, not {first_step} and {decay}.")
    check_rounding(multiple_of, keep_at_least)
    counts = {
        name: filter_counts(width, multiple_of=multiple_of, keep_at_least=keep_at_least)
        for name, width in widths.items()
    }
    closest = resource({name: own[-1] for name, own in counts.items()})
    if min(closest, resource(widths)) > budget:
        raise ValueError(
            f"The budget of {budget:.6g} cannot be met: with every layer cut to its least, the cost is {closest:.6g}."
        )

    def steps() -> Iterator[Step[Model]]:
        current, kept, cost = model, dict(widths), resource(widths)
        step = first_step * cost
        while cost > budget:
            best: Step[Model] | None = None
            for layer, own in cuts(kept, counts, resource, max(budget, cost - step)).items():
                proposed = prune(current, layer, own)
                proposed = proposed if short_term is None else short_term(proposed)
                after = {**kept, layer: own}
                proposal = Step(layer, after, float(evaluate(proposed)), resource(after), proposed)
                if best is None or (proposal.accuracy, -proposal.resource) > (best.accuracy, -best.resource):
                    best = proposal
            if best is None:
                raise ValueError(
                    f"The budget of {budget:.6g} cannot be met: at {cost:.6g}, with {kept} filters, "
                    "no cut of one layer makes the model cheaper."
                )
            yield best
            current, kept, cost, step = best.model, dict(best.kept), best.resource, step * decay

    return steps()


def cuts(
    kept: Mapping[str, int],
    counts: Mapping[str, list[int]],
    resource: Callable[[Mapping[str, int]], float],
    target: float,
) -> dict[str, int]:
    """Layer → filters to keep: the smallest cut of each layer alone that brings the cost to `target`.

    If none does, the target is the lowest cost that one layer can reach; layers that cannot reach
    it are left out. Empty if no cut makes the model cheaper.
    """
    costs = {name: {own: resource({**kept, name: own}) for own in counts[name] if own < kept[name]} for name in counts}
    lowest = min((cost for of_layer in costs.values() for cost in of_layer.values()), default=float("inf"))
    if lowest >= resource(kept):
        return {}
    reachable = max(target, lowest)
    return {
        name: max(own for own, cost in of_layer.items() if cost <= reachable)
        for name, of_layer in costs.items()
        if any(cost <= reachable for cost in of_layer.values())
    }


def filter_counts(width: int, *, multiple_of: int = 1, keep_at_least: int = 1) -> list[int]:
    """The numbers of filters that a layer of `width` may have: the width, then the multiples below it, falling."""
    least = max(keep_at_least, 1)
    return [width, *(own for own in range(width - 1, 0, -1) if own % multiple_of == 0 and own >= least)]
