"""What a name stands for, and which of a submission's records speak for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.util.names import UnknownNameError, UsageError
from harness.views.selection import choose, select

COMMIT = "1e8215b0c4d2"


@pytest.fixture(scope="module")
def made(make_record):
    """`made(minute, run, …)`: a record of that minute and of that compression."""

    def build(minute, run, *, commit=COMMIT, machine="m", **changes):
        created = (datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minute)).isoformat()
        environment = {"commit": commit, "machine_fingerprint": machine}
        return make_record(created=created, run=run, environment=environment, queries=3, **changes)

    return build


def reasons(choice):
    return {record.created[14:16]: reason for record, reason in choice.left_out}


def test_names_are_resolved(make_record):
    records = [make_record(name) for name in ("magnitude", "taylor")]
    assert select(records, "taylor") == records[1:]
    assert select(records, records[0].id) == select(records, records[0].id[:6].upper()) == records[:1]
    with pytest.raises(UnknownNameError, match="Did you mean magnitude"):
        select(records, "magnitud")
    with pytest.raises(UnknownNameError):
        select(records, "")


def test_a_short_id_that_is_not_unique_names_the_records(make_record):
    twins = [make_record(id="abcdef0"), make_record("taylor", "eie", id="abcdef1")]
    with pytest.raises(UsageError, match=r"2 records begin with 'abcdef'.*\n.*abcdef0 .*magnitude.*\n.*abcdef1 .*eie"):
        select(twins, "abcdef")
    assert select(twins, "abcdef1") == twins[1:]
    with pytest.raises(UsageError, match="at least 4 digits"):
        select(twins[:1], "abc")


def test_the_newest_speaks_with_its_other_seeds_and_repeats(made):
    records = [made(0, "r0"), made(1, "r1", seed=1), made(2, "r2", seed=2), made(3, "r0", repeat=1)]
    choice = choose(records)
    assert {(r.seed, r.repeat) for r in choice.records} == {(0, 0), (0, 1), (1, 0), (2, 0)} and not choice.left_out


def test_what_was_made_otherwise_is_left_out_with_the_reason(made):
    newest = made(9, "new", parameters={"sparsity": 0.5})
    records = [
        made(0, "a", parameters={"sparsity": 0.9}),
        made(1, "b", parameters={}),
        made(2, "c", parameters={"sparsity": 0.5}, effort="quick"),
        made(3, "d", parameters={"sparsity": 0.5}, machine="other"),
        made(4, "e", parameters={"sparsity": 0.5}, commit="77777777777a-dirty"),
        made(5, "f", parameters={"sparsity": 0.5}, methodology=1),
        made(6, "g", parameters={"sparsity": 0.5}, task_modified=True),
        made(7, "h", parameters={"sparsity": 0.5}),
    ]
    choice = choose([newest, *records])
    assert choice.records == (newest,)
    assert reasons(choice) == {
        "00": "sparsity=0.9",
        "01": "without sparsity=0.5",
        "02": "effort quick",
        "03": "machine other",
        "04": "commit 77777777-dirty",
        "05": "old export",
        "06": "task=modified",
        "07": "older",
    }


def test_seeds_of_earlier_code_are_left_out_though_the_commit_is_dirty_both_times(made):
    """Seed 0 was compressed anew under the same dirty commit: code has changed since seeds 1 and 2."""
    old = [made(n, f"old{n}", seed=n, commit=f"{COMMIT}-dirty") for n in range(3)]
    broken = made(5, "new0", commit=f"{COMMIT}-dirty", verdict="invalid", accuracy=0.101)
    choice = choose([*old, broken])
    assert choice.records == (broken,) and set(reasons(choice).values()) == {"older"} and len(choice.left_out) == 3
    again = [made(6 + n, f"new{n}", seed=n, commit=f"{COMMIT}-dirty") for n in (1, 2)]
    assert choose([*old, broken, *again]).records == (broken, *again)


def test_a_commit_that_left_the_compression_as_it_was_is_the_same_code(made):
    records = [made(0, "r0"), made(1, "r1", seed=1), made(2, "r0", repeat=1, commit="999999999999")]
    assert len(choose(records).records) == 3


@given(st.data())
def test_the_newest_is_always_among_the_chosen_and_none_is_lost(made, data):
    moments = data.draw(st.permutations(range(6)))
    records = [
        made(
            minute,
            data.draw(st.sampled_from("xyz")),
            seed=data.draw(st.integers(0, 1)),
            commit=data.draw(st.sampled_from(["a", "b"])),
            verdict=data.draw(st.sampled_from(["valid", "invalid", "error"])),
        )
        for minute in moments
    ]
    choice = choose(records)
    assert max(records, key=lambda record: record.created) in choice.records
    told = [*choice.records, *(record for record, _ in choice.left_out)]
    assert sorted(record.id for record in told) == sorted(record.id for record in records)
    assert all(reason for _, reason in choice.left_out)
