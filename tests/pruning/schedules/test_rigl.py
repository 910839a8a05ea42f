"""RigL's move against a slow oracle, and the counts that never change."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.criteria import Random
from pruning.mask import Mask
from pruning.masking import make_mask
from pruning.ratios import Uniform
from pruning.schedules import rigl
from pruning.schedules.sparse_training import RigLMask, move, moving_share


def mask_at(model, sparsity, within):
    return make_mask(model, criterion=Random(1), granularity="element", ratio=Uniform(sparsity), within=within)


def test_a_move_by_hand():
    weight = torch.tensor([[5.0, -1.0], [0.0, 0.0]])
    keep = torch.tensor([[True, True], [False, False]])
    gradient = torch.tensor([[9.0, 0.1], [0.3, -0.9]])
    assert move(weight, gradient, keep, 1).tolist() == [[True, False], [False, True]]
    # The weight that falls has the largest gradient of all that are out, and comes back at once.
    assert move(weight, torch.tensor([[9.0, -1.0], [0.3, 0.9]]), keep, 1).tolist() == keep.tolist()
    assert move(weight, gradient, keep, 0).tolist() == keep.tolist()


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 12))
def test_a_move_against_a_slow_oracle(data, size):
    """Small integers, so that there are ties: the lower index is kept, and grown."""
    numbers = st.lists(st.integers(-3, 3), min_size=size, max_size=size)
    keep = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    gradient, weight = data.draw(numbers), [w * k for w, k in zip(data.draw(numbers), keep, strict=True)]
    count = data.draw(st.integers(0, sum(keep)))
    stays = sorted((i for i in range(size) if keep[i]), key=lambda i: (-abs(weight[i]), i))[: sum(keep) - count]
    grown = sorted((i for i in range(size) if i not in stays), key=lambda i: (-abs(gradient[i]), i))[:count]
    moved = move(torch.tensor(weight).float(), torch.tensor(gradient).float(), torch.tensor(keep), count)
    assert moved.nonzero().flatten().tolist() == sorted(stays + grown)
    assert int(moved.sum()) == sum(keep)


def test_the_share_that_moves_by_hand():
    assert [moving_share(t, fraction=0.3, end=8) for t in (0, 4, 8)] == pytest.approx([0.3, 0.15, 0])
    assert moving_share(2, fraction=0.3, end=8) == pytest.approx(0.15 * (1 + 2**-0.5))


def test_layers_keep_their_counts_and_grow_where_the_gradient_is_largest(loop):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    first, moves = mask_at(model, 0.7, None), []

    def watching(model, *, epochs, learning_rate, mask):
        def watched(model, step, steps):
            before = mask.mask
            answer = mask(model, step, steps)
            if answer is not None and step:
                moves.append((step, before, answer, {name: model.get_parameter(name).grad.clone() for name in answer}))
                assert all(not model.get_parameter(name)[~before[name]].any() for name in answer)
            return answer

        return loop(model, epochs=epochs, learning_rate=learning_rate, mask=watched)

    trained, last = rigl(model, mask_at, sparsity=0.7, train=watching, epochs=5, every=3, fraction=0.5, end=0.6)
    assert trained is model
    assert [step for step, *_ in moves] == [3, 6, 9]  # of twenty; nothing moves from step 12
    assert last == moves[-1][2] != first
    assert last.counts() == first.counts()
    for _, before, after, gradients in moves:
        for name, gradient in gradients.items():
            grown, out = after[name] & ~before[name], ~after[name] & ~before[name]
            if grown.any() and out.any():
                assert gradient[grown].abs().min() >= gradient[out].abs().max()
    for state in (*loop.history[0][12:], model.state_dict()):
        assert all(not state[name][~keep].any() for name, keep in last.items())


def test_the_first_mask_is_on_before_the_training(loop):
    model = nn.Sequential(nn.Linear(5, 3))
    _, mask = rigl(model, mask_at, sparsity=0.6, train=loop, epochs=1)
    assert int((loop.starts[0]["0.weight"] == 0).sum()) == 9
    assert mask == mask_at(model, 0.6, None)  # four steps are too few for a move


def test_a_frozen_layer_is_refused_by_name():
    model = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="weight has no gradient"):
        RigLMask(Mask({"weight": torch.ones(3, 3, dtype=torch.bool)}), every=1)(model, 1, 10)


def test_a_loop_that_never_asks_is_found_out():
    def deaf(model, *, epochs, learning_rate=None, mask=None):
        return model

    with pytest.raises(ValueError, match="never asked"):
        rigl(nn.Linear(3, 3), mask_at, sparsity=0.5, train=deaf, epochs=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "1 epoch or more"),
        ({"every": 0}, "1 or more, not 0"),
        ({"fraction": 1.2}, "shares, in 0…1"),
        ({"end": -0.1}, "shares, in 0…1"),
    ],
)
def test_impossible_schedules_are_refused_before_any_training(loop, changes, message):
    with pytest.raises(ValueError, match=message):
        rigl(nn.Linear(5, 3), mask_at, **{"sparsity": 0.5, "train": loop, "epochs": 1, **changes})
    assert not loop.starts
