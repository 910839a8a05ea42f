"""The closed recurrence against a machine stepped cycle by cycle."""

from __future__ import annotations

import numpy as np
from eie_stepper import step_through
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_targets.eie import EieConfig
from hw_targets.eie.arithmetic import multiply
from hw_targets.eie.layout import encode_batches, lay_out
from hw_targets.eie.timing import run


@st.composite
def cases(draw):
    """Matrices of codes and vectors of activations, often with empty rows and columns, and small machines."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, columns = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    density = draw(st.sampled_from([0, 0.05, 0.3, 1]))
    weight = rng.integers(1, 16, (rows, columns)) * (rng.random((rows, columns)) < density)
    weight[rng.random(rows) < draw(st.sampled_from([0, 0.5]))] = 0
    weight[:, rng.random(columns) < draw(st.sampled_from([0, 0.5]))] = 0
    vector = rng.integers(-99, 100, columns) * (rng.random(columns) < draw(st.sampled_from([0, 0.3, 1])))
    config = EieConfig(
        pe_count=draw(st.sampled_from([1, 2, 3, 8, 64])),
        fifo_depth=draw(st.integers(1, 9)),
        index_bits=draw(st.integers(1, 4)),
        line_bits=draw(st.sampled_from([8, 16, 24, 64])),
        registers=draw(st.sampled_from([1, 3, 8, 64])),
        fetch_cycles=draw(st.integers(1, 4)),
    )
    return weight.astype(np.uint8), vector, config


@settings(max_examples=250, deadline=None)
@given(case=cases())
def test_every_count_equals_the_stepped_machines(case):
    weight, vector, config = case
    active = np.flatnonzero(vector).astype(np.int32)
    activity = run(lay_out(weight, config), active, np.array([0, active.size]), config)
    stepped, sums = step_through(weight, vector, config)
    assert {name: int(of[0]) for name, of in vars(activity).items()} == vars(stepped)
    table = np.arange(16)
    np.testing.assert_array_equal(multiply(encode_batches(weight, config), table, vector[None])[0], sums)
    np.testing.assert_array_equal(sums, weight.astype(np.int64) @ vector)


def test_more_than_255_entries_in_a_column():
    """One element, a column of 300: the widths of counters change there."""
    weight, vector = np.ones((300, 2), np.uint8), np.array([1, 1])
    config = EieConfig(pe_count=1, registers=300)
    activity = run(lay_out(weight, config), np.array([0, 1], np.int32), np.array([0, 2]), config)
    stepped, _ = step_through(weight, vector, config)
    assert {name: int(of[0]) for name, of in vars(activity).items()} == vars(stepped)


def test_many_vectors_are_each_as_if_alone():
    rng = np.random.default_rng(0)
    config = EieConfig(pe_count=4, registers=8)
    layout = lay_out(rng.random((50, 40)) < 0.3, config)
    vectors = rng.random((7, 40)) < 0.5
    vectors[3] = False
    vector, column = np.nonzero(vectors)
    together = run(layout, column.astype(np.int32), np.searchsorted(vector, np.arange(8)), config)
    for index, each in enumerate(vectors):
        active = np.flatnonzero(each).astype(np.int32)
        alone = run(layout, active, np.array([0, active.size]), config)
        assert [of[index] for of in vars(together).values()] == [of[0] for of in vars(alone).values()]


def test_by_hand():
    """Two elements, queues of one: element 0 has 3 entries in each column, element 1 has 1."""
    weight = np.array([[1, 1], [1, 1], [1, 1], [0, 0], [1, 1], [0, 0]], np.uint8)
    config = EieConfig(pe_count=2, fifo_depth=1, fetch_cycles=2, pipeline_stages=4)
    activity = run(lay_out(weight, config), np.array([0, 1], np.int32), np.array([0, 2]), config)
    # Column 0: broadcast at 0, at work from 2 to 4. Column 1: broadcast at 2, one cycle late, from 5 to 7.
    assert activity.cycles[0] == 7 + 1 + 3
    assert activity.stalled[0] == 1
    assert activity.entries[0] == 8
    assert activity.lines[0] == 2  # 6 and 2 entries, one line each, which is read once
