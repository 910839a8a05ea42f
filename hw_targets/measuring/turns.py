"""Two models answer in short turns, so that what slows one slows the other, and their ratio stays.

A turn lasts some ten milliseconds: short against the bursts of other processes. Its first query finds
the caches full of the other model's data and is not counted. One turn of each model, in an order that
is drawn, makes a pair; a ratio is taken within a pair. After a while, a *segment*, both sessions are
made anew, in an order that is drawn, with memory of random size put between them: where a session
lies costs or saves it a per cent or two for as long as it lives, and the one made first is not placed
as the one made second (Mytkowicz et al. 2009, "Producing wrong data without doing anything obviously
wrong!"). So the same model twice gives 1.00, and the difference between segments is in the interval.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hw_targets.measuring.runner import Runner


PADDING_BYTES, PADDING_PIECES = 1 << 18, 16


@dataclass(frozen=True)
class Turn:
    """What one model was asked without a break, the first query left out.

    Attributes:
        segment: counts how often the sessions were made; turns of one segment share them.
        pair: number of the pair that the turn belongs to.
        times_ns: one a query (SingleStream) or a batch (Offline), in order.
        samples: inferred in all of them, as many in each.
    """

    model: str
    segment: int
    pair: int
    times_ns: list[int]
    samples: int


@dataclass
class Asked:
    """What a model was asked in all, counted or not: samples, and how long its whole turns took, in ns."""

    samples: int = 0
    ns: int = 0

    def __add__(self, other: Asked) -> Asked:
        return Asked(self.samples + other.samples, self.ns + other.ns)


class Turns:
    """Whose turn it is, and what the turns took.

    Args:
        models: names; each has one turn in a pair.
        make: the session of a model, made anew.
        pace: time of one query (or batch) of a session that was just made, in s.
        turn_s: least time of a turn. It is longer where the slowest model needs longer for
            `queries_in_turn` queries, so that all models are asked for about the same time.
        segment_s: least time of a segment, which lasts no less than twice as long as making its sessions took.
    """

    def __init__(
        self,
        models: Sequence[str],
        make: Callable[[str], Runner],
        pace: Callable[[Runner], float],
        *,
        turn_s: float,
        segment_s: float,
        queries_in_turn: int = 1,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.models, self.pace_s = tuple(models), dict.fromkeys(models, float("inf"))
        self.first_in_turn = True
        self._make, self._pace, self._queries = make, pace, queries_in_turn
        self._turn_s, self._segment_s = turn_s, segment_s
        self._generator = generator or np.random.default_rng()
        self._runners: dict[str, Runner] = {}
        self._padding: list[np.ndarray] = []
        self._segment, self._pair, self._segment_end = -1, -1, 0.0
        self._order: list[str] = []
        self._of_pair: list[Turn] = []
        self._done: list[Turn] = []
        self._model, self._times_ns, self._samples = "", [0], 0
        self._turn_start_ns, self._turn_end_ns = 0, 0
        self._asked = {model: Asked() for model in models}

    @property
    def runner(self) -> Runner:
        """The session that answers the next query."""
        return self._runners[self._model]

    @property
    def turn_s(self) -> float:
        """How long a turn lasts, at the fastest pace seen so far."""
        return max(self._turn_s, self._queries * max(self.pace_s.values()))

    def start(self) -> None:
        """Begin a pair; a turn or a pair that was under way is dropped, and so is what was not taken."""
        self._order, self._of_pair, self._done = [], [], []
        self._asked = {model: Asked() for model in self.models}
        self._next()

    def finished(self) -> list[Turn]:
        """The turns of all pairs that were finished since `start`."""
        return list(self._done)

    def asked(self) -> dict[str, Asked]:
        """What was asked since `start`, by model."""
        return dict(self._asked)

    def answered(self, start_ns: int, end_ns: int, samples: int) -> None:
        """`runner` answered a query of `samples`; it may be another model's turn now."""
        self._asked[self._model].samples += samples
        if self.first_in_turn:
            self.first_in_turn, self._turn_start_ns = False, start_ns
            self._turn_end_ns = start_ns + int(self.turn_s * 1e9)
            return
        self._times_ns.append(end_ns - start_ns)
        self._samples += samples
        if end_ns >= self._turn_end_ns:
            self._asked[self._model].ns += end_ns - self._turn_start_ns
            self._of_pair.append(Turn(self._model, self._segment, self._pair, self._times_ns, self._samples))
            self._next()

    def _next(self) -> None:
        if not self._order:
            self._done += self._of_pair
            if time.perf_counter() >= self._segment_end:
                self._new_segment()
            self._pair, self._of_pair = self._pair + 1, []
            self._order = self._drawn()
        self._model, self.first_in_turn, self._times_ns, self._samples = self._order.pop(), True, [], 0

    def _new_segment(self) -> None:
        begin = time.perf_counter()
        self._runners.clear()
        self._padding.clear()
        for model in self._drawn():
            for size in self._generator.integers(1, PADDING_BYTES, self._generator.integers(PADDING_PIECES + 1)):
                self._padding.append(np.empty(size, np.uint8))
            self._runners[model] = self._make(model)
            self.pace_s[model] = min(self.pace_s[model], self._pace(self._runners[model]))
        now = time.perf_counter()
        self._segment, self._segment_end = self._segment + 1, now + max(self._segment_s, 2 * (now - begin))

    def _drawn(self) -> list[str]:
        return [self.models[i] for i in self._generator.permutation(len(self.models))]
