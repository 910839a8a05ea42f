"""One scenario, asked by LoadGen until the ratio of the models is known well enough or the time is up.

A run that LoadGen calls INVALID, because it was laid out for a slower system than it met, does not
count. It is laid out anew from the pace that it showed, as often as the time allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from hw_targets.measuring.effort import Scenario, Settings
from hw_targets.measuring.loadgen import Run
from hw_targets.measuring.pairs import speedup
from hw_targets.measuring.turns import Asked, Turn, Turns

HASTE = 1.5  # how much faster than seen a run is laid out for, once more with each that came out too short
LEAST_TURNS = 4  # that a run has room for


@dataclass(frozen=True)
class Plan:
    """What a scenario has to reach.

    Attributes:
        least_s: of a run, for LoadGen.
        margin: how much faster than seen a run is laid out for in any case.
        settings: segments, precision, model_s, model_samples and limit_s count.
    """

    scenario: Scenario
    least_s: float
    margin: float
    settings: Settings

    @property
    def name(self) -> str:
        """Of the folder of a run's logs."""
        return {"SingleStream": "single_stream", "Offline": "offline"}[self.scenario]

    def asked_enough(self, asked: Mapping[str, Asked]) -> bool:
        """Whether each model had what it has to have."""
        least_ns, least_samples = self.settings.model_s * 1e9, self.settings.model_samples
        return all(model.ns >= least_ns and model.samples >= least_samples for model in asked.values())


@dataclass(frozen=True)
class Found:
    """A run that counts; `enough_at_look` tells at which look at all data until then these were found to suffice."""

    run: Run
    enough_at_look: int | None


class NoRunError(Exception):
    """LoadGen called no run VALID within the time."""


def ask(
    plan: Plan,
    turns: Turns,
    run: Callable[[float, float, Path], Run],
    pace_s: float,
    logs: Path,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Found]:
    """All runs that count, one after the other.

    Args:
        run: makes one run of a least duration in s, laid out for a time of one sample in s, with its logs.
        pace_s: time of one sample, for the first run.
        clock: seconds, to tell whether the time is up.

    Raises:
        NoRunError: there was none; with LoadGen's reasons.
    """
    settings = plan.settings
    begin, length, look, attempt, counted_s = clock(), plan.least_s, 0, 0, 0.0
    done, asked = list[Turn](), {model: Asked() for model in turns.models}
    for number in count():
        length = max(length, LEAST_TURNS * turns.turn_s)
        found = run(length, pace_s / plan.margin / HASTE**attempt, logs / f"{number}_{plan.name}")
        seen_s, elapsed = found.seconds / max(found.queries, 1), clock() - begin
        if found.invalid:
            attempt, pace_s = attempt + 1, min(pace_s, seen_s)
        else:
            attempt, pace_s, counted_s, done = 0, seen_s, counted_s + found.seconds, done + found.turns
            asked = {name: asked[name] + found.asked[name] for name in asked}
            enough = None
            if len({turn.segment for turn in done}) >= settings.segments and plan.asked_enough(asked):
                look += 1
                enough = look if speedup(done, look).half_width() <= settings.precision else None
            yield Found(found, enough)
            if enough:
                return
            wanted = counted_s / 2 if found.turns else 2 * length
            length = max(plan.least_s, min(wanted, settings.limit_s - elapsed))
        if not done and elapsed >= settings.limit_s:
            raise NoRunError(
                f"LoadGen made {number + 1} runs in {elapsed:.0f} s (limit {settings.limit_s:g} s) and none counts: "
                + (found.invalid or "none held a whole pair of turns")
            )
        if done and elapsed + length > settings.limit_s:
            return
