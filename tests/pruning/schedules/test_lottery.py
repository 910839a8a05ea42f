"""Tickets start from the very bits of the initialisation, or of step k; the controls differ in one thing each."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.mask import Mask
from pruning.masking import make_mask
from pruning.ratios import Global
from pruning.schedules import lottery
from pruning.schedules.lottery_tickets import Ticket, find_ticket, shuffled


def mask_at(model, sparsity, within):
    return make_mask(model, criterion="magnitude", granularity="element", ratio=Global(sparsity), within=within)


def fresh(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_each_round_starts_from_the_initial_weights_bit_for_bit(loop):
    masks = []

    def remembering(model, sparsity, within):
        assert within == (masks[-1] if masks else None)
        masks.append(mask_at(model, sparsity, within))
        return masks[-1]

    model, mask = lottery(
        fresh(seed=9), remembering, sparsity=0.875, rounds=3, train=loop, epochs=2, initial=lambda: fresh(seed=4)
    )
    assert [round(each.sparsity, 6) for each in masks] == [0.5, 0.75, 0.875]
    assert mask == masks[-1]
    expected = [fresh(seed=4), *(each.apply_(fresh(seed=4)) for each in masks)]
    assert len(loop.starts) == 4
    assert all(same(start, network.state_dict()) for start, network in zip(loop.starts, expected, strict=True))
    assert not model[0].weight[~mask["0.weight"]].any() and model[0].weight[mask["0.weight"]].all()


@pytest.mark.parametrize("step", [1, 3, 7])
def test_rewinding_is_to_the_very_state_after_k_steps(loop, step):
    """Parameters, and batch norm's statistics too, which have by then seen k batches."""
    ticket = find_ticket(
        fresh(), mask_at, sparsity=0.5, train=loop, epochs=2, initial=fresh().state_dict(), rewind_steps=step
    )
    assert same(ticket.state, loop.history[0][step - 1])
    assert ticket.state["1.num_batches_tracked"] == step
    assert ticket.mask == mask_at(_loaded(loop.history[0][-1]), 0.5, None)


def _loaded(state):
    model = fresh()
    model.load_state_dict(state)
    return model


def test_rewinding_keeps_tied_weights_tied_and_exact(loop):
    def tied():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5), nn.Linear(5, 3))
        model[2].weight = model[0].weight
        return model

    ticket = find_ticket(tied(), mask_at, sparsity=0.5, train=loop, epochs=1, initial=tied, rewind_steps=2)
    assert same(ticket.state, loop.history[0][1])


def test_the_controls_change_one_thing_each(loop):
    ticket = find_ticket(fresh(), mask_at, sparsity=0.5, train=loop, epochs=1, initial=fresh)
    other, random = ticket.reinitialised(lambda: fresh(seed=1)), ticket.shuffled(seed=2)
    assert other.mask == ticket.mask and same(other.state, fresh(seed=1).state_dict())
    assert same(random.state, ticket.state) and random.mask != ticket.mask
    assert random.mask.counts() == ticket.mask.counts()
    assert random.mask == ticket.shuffled(seed=2).mask != ticket.shuffled(seed=3).mask


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), max_size=30), st.integers(0, 1000))
def test_a_shuffled_mask_keeps_its_counts(keep, seed):
    mask = Mask({"a": torch.tensor(keep, dtype=torch.bool)})
    assert shuffled(mask, seed).counts() == mask.counts()


def test_a_ticket_is_not_changed_by_training(loop):
    initial = fresh().state_dict()
    ticket = Ticket({name: tensor.clone() for name, tensor in initial.items()}, mask_at(fresh(), 0.5, None))
    loop(ticket.load_(fresh(seed=3)), epochs=1, mask=ticket.mask)
    assert same(ticket.state, initial)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "1 epoch or more"),
        ({"rounds": 0}, "1 step or more"),
        ({"sparsity": 1.0, "rounds": 2}, "never reach"),
        ({"rewind_steps": -1}, "0 or more"),
        ({"initial": {"0.weight": torch.ones(2)}}, "not those of this architecture"),
    ],
)
def test_impossible_lotteries_are_refused_before_any_training(loop, changes, message):
    choices = {"sparsity": 0.5, "train": loop, "epochs": 1, "initial": fresh, **changes}
    with pytest.raises(ValueError, match=message):
        find_ticket(fresh(), mask_at, **choices)
    assert not loop.starts


def test_a_step_beyond_the_training_is_refused_at_its_first_step(loop):
    with pytest.raises(ValueError, match="rewind_steps=4 is not before the end of a training of 4 steps"):
        find_ticket(fresh(), mask_at, sparsity=0.5, train=loop, epochs=1, initial=fresh, rewind_steps=4)
    assert loop.history == [[]]
