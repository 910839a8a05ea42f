from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from hw_targets.measuring.pairs import in_blocks, pair_ratios, speedup
from hw_targets.measuring.turns import Turn, Turns

MS = 1_000_000


class Sessions:
    """Stand-ins that count who was made and asked."""

    def __init__(self, pace_s: dict[str, float]) -> None:
        self.pace_s, self.made = pace_s, list[str]()

    def make(self, model: str) -> str:
        self.made.append(model)
        return model

    def turns(self, **options) -> Turns:
        options = {"turn_s": 0.01, "segment_s": math.inf, "generator": np.random.default_rng(0), **options}
        return Turns(tuple(self.pace_s), self.make, self.pace_s.__getitem__, **options)


def ask(turns: Turns, queries: int, times_ms: dict[str, int]) -> list[str]:
    """Who answered, query by query."""
    clock, who = 0, []
    for _ in range(queries):
        model = turns.runner
        end = clock + times_ms[model] * MS
        turns.answered(clock, end, 1)
        who.append(model)
        clock = end
    return who


def test_turns_last_ten_milliseconds_and_leave_the_first_query_out():
    turns = Sessions({"dense": 0.002, "entry": 0.001}).turns()
    turns.start()
    ask(turns, 300, {"dense": 2, "entry": 1})
    lengths = {turn.model: {len(turn.times_ns)} for turn in turns.finished()}
    assert lengths == {"dense": {4}, "entry": {9}}  # 5 and 10 queries fill 10 ms
    assert all(turn.samples == len(turn.times_ns) for turn in turns.finished())
    asked = turns.asked()
    assert asked["dense"].ns == pytest.approx(asked["entry"].ns, rel=0.1)


def test_turns_are_paired_and_the_order_is_drawn():
    turns = Sessions({"dense": 0.005, "entry": 0.005}).turns()
    turns.start()
    ask(turns, 600, {"dense": 5, "entry": 5})
    pairs = itertools.groupby(turns.finished(), lambda turn: turn.pair)
    orders = [tuple(turn.model for turn in pair) for _, pair in pairs]
    assert set(orders) == {("dense", "entry"), ("entry", "dense")}
    assert 0.3 < np.mean([first == "dense" for first, _ in orders]) < 0.7


def test_a_slow_model_gets_two_queries_a_turn_and_the_fast_one_as_much_time():
    turns = Sessions({"dense": 0.1, "entry": 0.02}).turns(queries_in_turn=2)
    turns.start()
    ask(turns, 60, {"dense": 100, "entry": 20})
    assert {turn.model: len(turn.times_ns) for turn in turns.finished()} == {"dense": 1, "entry": 9}


def test_sessions_are_made_anew_in_an_order_that_is_drawn(monkeypatch):
    monkeypatch.setattr("hw_targets.measuring.turns.time", SimpleNamespace(perf_counter=itertools.count().__next__))
    sessions = Sessions({"dense": 0.01, "entry": 0.01})
    turns = sessions.turns(segment_s=0.0)
    turns.start()
    ask(turns, 400, {"dense": 10, "entry": 10})
    finished = turns.finished()
    assert len({turn.segment for turn in finished}) > 30  # making takes 1, a segment at least 2
    pairs = list(zip(sessions.made[::2], sessions.made[1::2], strict=True))
    assert set(pairs) == {("dense", "entry"), ("entry", "dense")}


def test_what_was_under_way_at_a_new_start_is_dropped():
    turns = Sessions({"dense": 0.01, "entry": 0.01}).turns()
    turns.start()
    ask(turns, 5, {"dense": 10, "entry": 10})
    first = turns.finished()
    turns.start()
    assert len(first) == 2 and turns.finished() == []
    ask(turns, 5, {"dense": 10, "entry": 10})
    assert {turn.pair for turn in turns.finished()}.isdisjoint({turn.pair for turn in first})


def made_turns(slow: list[float], ratio: float = 3, segment_pairs: int = 1) -> list[Turn]:
    """A pair a value of `slow`, which slows both models; the submission is `ratio` times as fast."""
    return [
        Turn(model, pair // segment_pairs, pair, [round(ns * factor)] * 3, 3)
        for pair, factor in enumerate(slow)
        for model, ns in (("dense", 1_000 * ratio), ("entry", 1_000))
    ]


def test_a_machine_that_gets_slower_slows_both():
    of = speedup(made_turns([1 + n for n in range(8)]), None)
    assert (of.value, of.low, of.high) == pytest.approx((3, 3, 3))


def test_pairs_that_met_a_burst_count_little():
    turns = made_turns([1.0] * 40, segment_pairs=4)
    turns[0:20:2] = [Turn(t.model, t.segment, t.pair, [30_000] * 3, 3) for t in turns[0:20:2]]  # ten times as slow
    of = speedup(turns, None)
    assert 3 <= of.value < 3.1 and of.high < 3.3


def test_batches_count_by_samples():
    turns = [Turn("dense", 0, 0, [32_000, 32_000], 64), Turn("entry", 0, 0, [8_000], 32)]
    ratios, segments = pair_ratios(turns)
    assert ratios.tolist() == [4] and segments.tolist() == [0]
    assert pair_ratios(turns[:1])[0].size == 0  # no pair


def test_blocks_hold_whole_segments():
    segments = np.repeat(np.arange(25), 3)
    blocks = in_blocks(segments, segments)
    assert len(blocks) == 10 and np.concatenate(blocks).tolist() == segments.tolist()
    assert not any(set(a) & set(b) for a, b in itertools.pairwise(blocks))
