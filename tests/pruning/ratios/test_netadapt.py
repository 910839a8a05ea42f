from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.ratios.netadapt import LatencyTable, cuts, filter_counts, netadapt

WIDTHS = {"a": 10, "b": 10}


def run(**choices):
    """The model is its filter counts; a filter of a is worth 9 times one of b, and both cost 1."""
    options = {
        "prune": lambda model, layer, count: {**model, layer: count},
        "evaluate": lambda model: (9 * model["a"] + model["b"]) / 100,
        "resource": lambda kept: sum(kept.values()),
        "budget": 12,
        "first_step": 0.1,
        "decay": 1.0,
        **choices,
    }
    return netadapt(dict(WIDTHS), WIDTHS, **options)


def test_the_layer_that_hurts_least_is_cut_until_the_budget_is_met():
    steps = list(run())
    # A step is 0.1 · 20 = 2 filters; b is always the better choice.
    assert [(step.layer, dict(step.kept), step.resource) for step in steps] == [
        ("b", {"a": 10, "b": own}, 10 + own) for own in (8, 6, 4, 2)
    ]
    assert [step.accuracy for step in steps] == pytest.approx([0.98, 0.96, 0.94, 0.92])
    assert steps[-1].model == {"a": 10, "b": 2}


def test_the_last_step_does_not_cut_more_than_the_budget_asks():
    assert [step.resource for step in run(budget=15)] == [18, 16, 15]


def test_steps_decay():
    # 4, then 2, then 1, then a part of a filter, which takes a whole one.
    assert [step.resource for step in run(first_step=0.2, decay=0.5, budget=12)] == [16, 14, 13, 12]


def test_a_step_that_no_layer_can_give_alone_is_made_smaller():
    steps = list(run(budget=3, first_step=0.5))
    # b gives 9 of the 10 asked, and so does a: then what is left of a.
    assert [dict(step.kept) for step in steps] == [{"a": 10, "b": 1}, {"a": 2, "b": 1}]


def test_proposals_are_fine_tuned_and_judged_after_it():
    tuned = []

    def short_term(model):
        tuned.append(dict(model))
        return {**model, "tuned": model["a"] < 10}

    def evaluate(model):  # fine-tuning repairs a wholly, so it is a that is cut
        return 1.0 if model["tuned"] else 0.5

    (step,) = run(budget=18, short_term=short_term, evaluate=evaluate)
    assert tuned == [{"a": 8, "b": 10}, {"a": 10, "b": 8}]
    assert (step.layer, step.model["tuned"]) == ("a", True)


def test_a_budget_that_is_met_already_takes_no_step():
    assert list(run(budget=20)) == []


def test_multiples_of_eight():
    assert filter_counts(20, multiple_of=8) == [20, 16, 8]
    assert filter_counts(5, keep_at_least=3) == [5, 4, 3]
    assert filter_counts(4, multiple_of=8) == [4]
    assert filter_counts(1) == [1]
    assert [dict(step.kept) for step in run(multiple_of=4, budget=12)] == [
        {"a": 10, "b": 8},
        {"a": 10, "b": 4},
        {"a": 8, "b": 4},
    ]


counts = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 12), min_size=1)


@given(counts, st.integers(1, 5), st.floats(0.3, 1), st.floats(0.05, 0.5), st.floats(0.5, 1), st.integers(1, 4))
def test_costs_fall_to_every_budget_that_can_be_met(widths, price, share, first_step, decay, multiple):
    def resource(kept):
        return sum(price * (i + 1) * own for i, own in enumerate(kept.values()))

    least = resource({name: filter_counts(width, multiple_of=multiple)[-1] for name, width in widths.items()})
    budget = max(share * resource(widths), least)
    steps = list(
        netadapt(
            widths,
            widths,
            prune=lambda model, layer, count: {**model, layer: count},
            evaluate=lambda model: sum(model.values()),
            resource=resource,
            budget=budget,
            first_step=first_step,
            decay=decay,
            multiple_of=multiple,
        )
    )
    costs = [resource(widths), *(step.resource for step in steps)]
    assert costs[-1] <= budget
    assert all(after < before for before, after in pairwise(costs))
    assert all(before > budget for before in costs[:-1])


def table():
    # A layer takes 2 for each filter of its own and 1 for each pair with the layer that it reads.
    return LatencyTable.measured(
        {"a": 4, "b": 2}, lambda name, inputs, own: own * (2 + inputs), reads={"b": "a"}, multiple_of=2, fixed=7
    )


def test_the_table_sums_measured_layers_and_knows_who_reads_whom():
    assert dict(table().seconds["b"]) == {(4, 2): 12, (2, 2): 8}
    assert table()({"a": 4, "b": 2}) == 7 + 8 + 12
    assert table()({"a": 2, "b": 2}) == 7 + 4 + 8
    assert cuts({"a": 4, "b": 2}, {"a": [4, 2], "b": [2]}, table(), target=20) == {"a": 2}


def test_the_table_names_what_it_lacks():
    with pytest.raises(ValueError, match="a was not measured with 3 filters and 0 of the layer it reads"):
        table()({"a": 3, "b": 2})
    with pytest.raises(ValueError, match="filters that b keeps is missing"):
        table()({"a": 4})
    with pytest.raises(ValueError, match=r"reads= names 'c', of which no width is given\. Known: a\."):
        LatencyTable.measured({"a": 4}, lambda *_: 1.0, reads={"a": "c"})


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"budget": 1}, "budget of 1 cannot be met: with every layer cut to its least, the cost is 2"),
        ({"first_step": 0.0}, "first_step must be"),
        ({"decay": 1.5}, "decay in 0…1, not .* 1.5"),
        ({"multiple_of": 0}, "multiple_of must be 1 or more"),
    ],
)
def test_refuses_at_once_what_cannot_be(choices, message):
    with pytest.raises(ValueError, match=message):
        run(**choices)


def test_says_how_far_it_came_where_no_cut_helps():
    def resource(kept):  # both layers must fall together
        return 10 + 5 * max(kept.values())

    with pytest.raises(ValueError, match=r"budget of 30 cannot be met: at 60, with .* no cut of one layer"):
        list(run(budget=30, resource=resource))
