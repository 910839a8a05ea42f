from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hw_targets.measuring.asking import Found, NoRunError, Plan, ask
from hw_targets.measuring.effort import SETTINGS
from hw_targets.measuring.loadgen import Run, run_offline, run_single_stream
from hw_targets.measuring.pairs import speedup
from hw_targets.measuring.turns import Asked, Turn, Turns

SETTING = replace(SETTINGS["quick"], segments=4, precision=0.02, limit_s=20)
LOGS = Path("logs")


class Machine:
    """A system with a clock of its own: it answers `ratios` by pair, ten pairs a second, five pairs a segment."""

    models, turn_s = ("dense", "entry"), 0.01

    def __init__(self, ratios=None, invalid=lambda number: None, seconds=lambda asked: asked) -> None:
        self.ratios = ratios or (lambda pair: 1.0)
        self.invalid, self.seconds = invalid, seconds
        self.now, self.pair, self.runs = 0.0, 0, list[tuple[float, float, str]]()

    def run(self, least_s: float, pace_s: float, logs: Path) -> Run:
        reason, number = self.invalid(len(self.runs)), len(self.runs)
        self.runs.append((least_s, pace_s, logs.name))
        seconds = self.seconds(least_s)
        self.now += seconds
        turns = []
        for self.pair in range(self.pair, self.pair + int(10 * seconds)):  # noqa: B020 - it goes on counting
            segment, dense = self.pair // 5, round(1e6 * self.ratios(self.pair))
            turns += [Turn("dense", segment, self.pair, [dense], 1), Turn("entry", segment, self.pair, [10**6], 1)]
        asked = dict.fromkeys(self.models, Asked(len(turns) // 2, int(seconds * 4e8)))
        return Run(turns, reason, asked, 1000, seconds, None, {"run": float(number)})

    def ask(self, settings=SETTING, least_s: float = 2.0) -> list[Found]:
        plan = Plan("SingleStream", least_s, 1.0, settings)
        return list(ask(plan, self, self.run, 1e-3, LOGS, clock=lambda: self.now))


def test_a_still_machine_is_asked_once():
    machine = Machine()
    found = machine.ask()
    assert [each.enough_at_look for each in found] == [1]
    assert machine.runs == [(2.0, 1e-3, "0_single_stream")]


def test_an_invalid_run_is_laid_out_anew_from_the_pace_seen_and_does_not_count():
    machine = Machine(invalid=lambda number: "too short" if number < 3 else None, seconds=lambda asked: 0.5)
    found = machine.ask()
    paces = [pace for _, pace, _ in machine.runs[:4]]
    # 1000 queries took 0.5 s: half a millisecond a query, and faster each time by a half.
    assert paces == pytest.approx([1e-3, 0.5e-3 / 1.5, 0.5e-3 / 1.5**2, 0.5e-3 / 1.5**3])
    assert found[0].run.loadgen == {"run": 3.0}


def test_no_valid_run_within_the_time_says_why():
    machine = Machine(invalid=lambda number: "Min duration satisfied : NO")
    with pytest.raises(NoRunError, match=r"10 runs in 20 s \(limit 20 s\).*Min duration satisfied : NO"):
        machine.ask()


def test_runs_without_a_whole_pair_get_longer():
    machine = Machine(seconds=lambda asked: asked if asked > 5 else 0.05)
    assert machine.ask()[-1].enough_at_look
    assert [least for least, *_ in machine.runs[:3]] == [2.0, 4.0, 8.0]


def test_an_unclear_ratio_is_asked_for_until_the_time_is_up_and_no_longer():
    rng = np.random.default_rng(0)
    machine = Machine(ratios=lambda pair: float(np.exp(rng.normal(0, 1))))
    found = machine.ask()
    assert len(found) > 3 and found[-1].enough_at_look is None
    assert 17 < machine.now <= 20


def test_each_model_has_what_mlperf_asks_for():
    machine = Machine()
    machine.ask(replace(SETTING, model_s=3.0))  # 0.4 of the time is each model's
    assert 7.5 <= machine.now <= 20
    assert SETTINGS["official"].model_s == 600 and SETTINGS["official"].model_samples == 24_576


def test_looking_until_it_suffices_still_holds_the_truth():
    rng, holds = np.random.default_rng(2), []
    for _ in range(200):
        bursts = np.cumsum(rng.random(300) < 0.1) % 2 == 1
        noise = np.where(bursts, rng.laplace(0, 0.5, 300), rng.normal(0, 0.03, 300))
        noise += np.repeat(rng.normal(0, 0.01, 60), 5)  # where the sessions of a segment lie
        found = Machine(ratios=lambda pair, noise=noise: float(np.exp(noise[pair]))).ask()
        turns = [turn for each in found for turn in each.run.turns]
        of = speedup(turns, found[-1].enough_at_look)
        holds.append(of.low <= 1 <= of.high)
    assert np.mean(holds) >= 0.93


class Slow:
    """A session that sleeps for as long as it is told, then no more."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.asked = seconds, 0

    def one(self, index: int) -> None:
        import time

        self.asked += 1
        if self.asked < 4:
            time.sleep(self.seconds)

    def many(self, indexes: list[int]) -> None:
        self.one(0)


@pytest.mark.parametrize("scenario", ["SingleStream", "Offline"])
def test_loadgen_itself_calls_a_run_too_short_and_the_next_one_valid(scenario, tmp_path):
    """A system that is far faster than it was when its pace was taken."""
    turns = Turns(("dense", "entry"), lambda _: Slow(0.01), lambda _: 0.01, turn_s=0.001, segment_s=1e9)
    turns.start()

    def run(least_s: float, pace_s: float, logs: Path) -> Run:
        if scenario == "SingleStream":
            return run_single_stream(turns, 8, least_s=least_s, least_queries=64, expected_s=pace_s, logs=logs)
        return run_offline(turns, 8, batch=4, least_s=least_s, least_samples=1, expected_per_s=1 / pace_s, logs=logs)

    runs: list[Run] = []

    def watched(*arguments) -> Run:
        runs.append(run(*arguments))
        return runs[-1]

    plan = Plan(scenario, 0.2, 1.2, replace(SETTING, segments=1, precision=9e9))
    found = next(ask(plan, turns, watched, 0.01, tmp_path))
    assert "Min duration satisfied : NO" in runs[0].invalid and runs[-1].invalid is None
    assert found.run is runs[-1] and found.run.turns
