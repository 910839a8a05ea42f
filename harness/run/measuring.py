"""The third stage of a run: a judged model is measured on a target, beside the dense reference."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.entries.rules import RuleBroken
from harness.run.faults import environment_of, faults_of
from harness.run.inputs import real_inputs, test_data
from harness.run.stage import Stage
from harness.run.values import Broken, Pair, Request
from harness.store.methodology import METHODOLOGY
from harness.store.store import Store
from hw_targets.quantities import unknown_quantities
from hw_targets.target import Measurement, Target

log = logging.getLogger(__name__)
DECLARE = "A target declares its own as QUANTITIES of its class (hw_targets.quantities)."


@dataclass(frozen=True)
class Measured:
    """What a target found, where, and by which methodology; stages of before there were several do not say it."""

    measurement: Measurement
    environment: Mapping[str, Any]
    methodology: int = 1


MEASURE: Stage[Measured | Broken] = Stage("measure", Measured | Broken)


def measure(request: Request, target: Target, pair: Pair, store: Store) -> Measured | Broken:
    """Measure a model that was admitted and judged, once for each key.

    Raises:
        HarnessError: the target is not available here, or could not measure.
        OSError: the store cannot be written.
    """

    def work(scratch: Path) -> Measured | Broken:
        environment = environment_of(target)
        logs = scratch / "logs"
        logs.mkdir()
        try:
            with faults_of(target):
                return Measured(_measurement(request, target, pair, logs), environment, METHODOLOGY)
        except RuleBroken as broken:
            return Broken(broken.failure, environment=environment)

    return MEASURE.do(store, pair.keys.measure, work)


def _measurement(request: Request, target: Target, pair: Pair, logs: Path) -> Measurement:
    model, dense = pair.model.read(), pair.dense.read()
    samples = real_inputs(test_data(request.task), "validation")
    log.info("[%s] measuring on %s, effort %s", request.submission.name, target.name, request.effort)
    found = target.measure(model, dense, samples, request.effort, logs)
    strange = unknown_quantities([*found.quantities, *found.absent], getattr(target, "QUANTITIES", {}))
    for name, near in strange.items():
        meant = f" Is {near} meant?" if near else ""
        log.warning("Warning: %s gives %s, which is no standard quantity.%s %s", target.name, name, meant, DECLARE)
    return found
