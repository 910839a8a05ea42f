"""Two rows that look the same can be told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.views.labels import (
    changed_settings,
    commit_of,
    date_of,
    differing_settings,
    in_words,
    name_of,
    short_ids,
)


@given(st.sets(st.text("0123456789abcdef", min_size=20, max_size=20), min_size=1))
def test_short_ids_are_unique_beginnings(make_record, names):
    ids = short_ids([make_record(id=name, queries=1) for name in names])
    assert set(ids) == names and len(set(ids.values())) == len(names)
    assert all(full.startswith(short) and len(short) >= 8 for full, short in ids.items())


def test_ids_that_begin_alike_are_shown_as_far_as_they_must(make_record):
    names = ["0" * 12 + "1" + "0" * 7, "0" * 12 + "2" + "0" * 7]
    assert [len(short) for short in short_ids([make_record(id=name) for name in names]).values()] == [13, 13]


@pytest.mark.parametrize(
    ("commit", "shown"),
    [("1e8215b0c4d2", "1e8215b0"), ("1e8215b0c4d2-dirty", "1e8215b0-dirty"), ("unknown", "unknown"), (None, "unknown")],
)
def test_a_commit_keeps_its_dirt(make_record, commit, shown):
    assert commit_of(make_record(environment={"commit": commit} if commit else {})) == shown


def test_dates_are_in_utc_to_the_minute(make_record):
    assert date_of(make_record(created="2026-03-01T12:34:56+00:00")) == "2026-03-01 12:34"
    assert date_of(make_record(created="2026-03-01T01:00:00+02:00")) == "2026-02-28 23:00"
    assert date_of(make_record(created="2026-03-01T12:00:00Z")) == "2026-03-01 12:00"


def test_only_the_settings_that_differ_are_told(make_record):
    a = make_record(parameters={"sparsity": 0.5, "recovery": {"epochs": 10}}, created="2026-03-01T01:00:00+00:00")
    b = make_record(parameters={"sparsity": 0.5, "recovery": {"epochs": 3}, "layers": ["a", "b"]})
    other = make_record("taylor", parameters={"sparsity": 0.9})
    differ = differing_settings([a, b, other])
    assert in_words(differ[a.id]) == "recovery.epochs=10"
    assert in_words(differ[b.id]) == 'recovery.epochs=3 layers=["a","b"]'
    assert differ[other.id] == {}, "another submission has other parameters anyway"


def test_the_targets_configuration_is_a_setting_where_it_is_told(make_record):
    one, two = (make_record(target_configuration={"intra_threads": n}, seed=n) for n in (1, 2))
    assert in_words(changed_settings(two, one)) == "target.cpu.intra_threads=2"
    assert changed_settings(two, make_record()) == {}, "an old record does not tell"


def test_a_record_is_named_with_its_task(make_record):
    record = make_record(id="0123456789abcdef", repeat=2)
    assert name_of(record) == "cifar10_resnet20 on cpu: magnitude, seed 0 repeat 2 (01234567)"
