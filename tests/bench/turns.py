"""Times of several models in ONNX Runtime, one thread, taken in short turns so that a busy machine slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime

TURN_S = 0.03  # of one model, then the next one's turn
NARROW = 0.01  # half of a ratio's interval, at which no more rounds are needed


@dataclass(frozen=True)
class Times:
    """What several models took, round by round.

    Attributes:
        seconds: name → seconds a sample in each round `[rounds]`; a round's figures are neighbours in time.
    """

    seconds: Mapping[str, np.ndarray]

    @property
    def rounds(self) -> int:
        """How many there were."""
        return len(next(iter(self.seconds.values())))

    def median_ms(self, name: str) -> float:
        """Of one sample, over the rounds."""
        return float(np.median(self.seconds[name])) * 1e3

    def ratio(self, name: str, other: str) -> tuple[float, float, float]:
        """How many times as long as `other` a model takes: the median over the rounds, and its 95 % interval.

        The interval is that of order statistics: ranks n/2 ± √n, whatever the distribution.
        """
        ratios = np.sort(self.seconds[name] / self.seconds[other])
        n, half = len(ratios), 0.98 * np.sqrt(len(ratios))
        low, high = max(0, int(n / 2 - half)), min(n - 1, int(np.ceil(n / 2 + half)))
        return float(np.median(ratios)), float(ratios[low]), float(ratios[high])


def take_turns(models: Mapping[str, bytes], batch: np.ndarray, *, first: str, rounds: int, most_s: float) -> Times:
    """Run every model on `batch` `[n, …]` in each round, in an order drawn at random.

    A turn lasts some `TURN_S` and gives the median of its runs, but for the first, which finds cold
    caches. After each `rounds` all models are loaded anew, since where their tensors happen to lie in
    memory is worth two per cent; three times at least, and until the ratios of `first` to all others
    are known to `NARROW`, or `most_s` seconds are over.
    """
    seconds: dict[str, list[float]] = {name: [] for name in models}
    order = np.random.default_rng(0)
    began, loads = time.perf_counter(), 0
    while True:
        running = {name: _runner(models[name], batch) for name in order.permutation(list(models))}
        for run in running.values():
            run()
        for _ in range(rounds):
            for name in order.permutation(list(models)):
                seconds[name].append(_turn(running[name]) / len(batch))
        loads += 1
        times = Times({name: np.array(values) for name, values in seconds.items()})
        if loads >= 3 and (_narrow(times, first) or time.perf_counter() - began > most_s):
            return times


def _narrow(times: Times, first: str) -> bool:
    found = [times.ratio(first, other) for other in times.seconds if other != first]
    return all(high - low <= 2 * NARROW * median for median, low, high in found)


def one_thread() -> onnxruntime.SessionOptions:
    """Everything as ONNX Runtime has it by default, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _runner(model: bytes, batch: np.ndarray) -> Callable[[], object]:
    session = onnxruntime.InferenceSession(model, one_thread(), providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: batch}
    return lambda: session.run(None, feed)


def _turn(run: Callable[[], object]) -> float:
    run()
    taken: list[float] = []
    end = time.perf_counter() + TURN_S
    while not taken or time.perf_counter() < end:
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))
