"""Filters go where it hurts least until a measured latency is met (NetAdapt: Yang et al. 2018, arXiv 1804.03230)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from harness.contract import Context, ParameterError
from pruning import (
    Filter,
    Magnitude,
    Mask,
    PerLayer,
    Problem,
    Ratio,
    Trace,
    allocate_netadapt,
    coupled,
    make_mask,
    prunable_filters,
    shrink,
    weight_names,
)
from pruning.ratios.netadapt import LatencyTable


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config, multiple_of = context.config, context.config["multiple_of"]
        trace = Trace(model, context.data.sample[:2])
        layers = prunable_filters(model, trace)
        widths = {name: len(model.get_parameter(name)) for name in weight_names(model, layers)}

        def mask_at(model: nn.Module, ratio: Ratio, within: Mask | None) -> Mask:
            judge = Magnitude()
            mask = make_mask(model, criterion=judge, granularity=Filter(), ratio=ratio, layers=layers, within=within)
            return coupled(model, mask, trace)

        def saved(name: str, _: int, kept: int) -> float:
            """What the whole network's latency changes by, in ns, if one layer keeps so many filters."""
            if kept == widths[name]:
                return 0.0
            one_cut = PerLayer({**dict.fromkeys(widths, 0.0), name: 1 - kept / widths[name]})
            return context.latency(shrink(model, mask_at(model, one_cut, None), trace)) - dense

        dense = context.latency(model)
        table = LatencyTable.measured(widths, saved, multiple_of=multiple_of, fixed=dense)
        problem = Problem(model, tuple(widths), mask_at, evaluate=context.evaluate, multiple_of=multiple_of)

        def latency(shares: Mapping[str, float]) -> float:
            return table({name: problem.ratio(shares).count(name, width) for name, width in widths.items()})

        try:
            ratio = allocate_netadapt(problem, config["latency_removed"], cost=latency, first_step=config["step"])
        except ValueError as error:
            raise ParameterError(f"{error} Ask for less, or try task=cifar10_resnet20.") from error
        small = shrink(model, mask_at(model, ratio, None), trace)
        return context.train(small, epochs=config["epochs"], learning_rate=context.learning_rate)
