import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruning.masking import make_mask
from pruning.ratios import Problem
from pruning.ratios.amc import FEATURES, amc_search, bounded_action, reward_of, state_features
from pruning.ratios.cost import layer_costs
from pruning.ratios.ddpg import DdpgSettings

QUICK = DdpgSettings(hidden=16, actor_rate=2e-3, critic_rate=5e-3, explore=20)


def mask_at(model, ratio, within):
    return make_mask(model, criterion="magnitude", granularity="element", ratio=ratio, within=within)


def evaluate(model):
    """The first layer is worth much, the second nothing."""
    return 1 - 0.9 * float((model[0].weight == 0).double().mean())


def problem_of(**choices):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10))
    choices = {"evaluate": evaluate, "example_inputs": torch.zeros(1, 10), **choices}
    return Problem(model, ("0.weight", "1.weight"), mask_at, **choices)


def test_the_eleven_features_of_three_layers_by_hand():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),  # 4·2·9·(4·8 positions) = 2304
        nn.Conv2d(4, 8, 3, stride=2, padding=1),  # 8·4·9·(2·4) = 2304
        nn.Flatten(),
        nn.Linear(64, 6),  # 384
    )
    layers = layer_costs(model, torch.zeros(1, 2, 4, 8))
    assert [layer.macs for layer in layers.values()] == [2304, 2304, 384]
    assert len(FEATURES) == 11
    total = 2304 + 2304 + 384
    # t, n, c, h, w, stride, k; FLOPs; reduced, rest; last action
    expected = [
        [0, 4 / 8, 2 / 64, 1, 1, 1 / 2, 1, 1, 0, (2304 + 384) / total, 0],
        [1 / 2, 1, 4 / 64, 1, 1, 1, 1, 1, 0.25 * 2304 / total, 384 / total, 0.25],
        [1, 6 / 8, 1, 1 / 4, 1 / 8, 1 / 2, 1 / 3, 384 / 2304, (0.25 + 0.5) * 2304 / total, 0, 0.5],
    ]
    taken: dict[str, float] = {}
    for row, action in zip(expected, [0.25, 0.5, 0.0], strict=True):
        assert state_features(layers, taken).tolist() == pytest.approx(row)
        taken[list(layers)[len(taken)]] = action


macs = st.lists(st.integers(1, 1000), min_size=1, max_size=5)


@given(macs, st.lists(st.floats(0, 1), min_size=5, max_size=5), st.floats(0, 0.8))
def test_whatever_the_agent_does_the_budget_is_met_and_linear_costs_give_algorithm_1(sizes, actions, sparsity):
    names, most, total = [str(i) for i in range(len(sizes))], 0.8, sum(sizes)

    def cost(shares):
        return sum((1 - shares[name]) * size for name, size in zip(names, sizes, strict=True))

    taken: dict[str, float] = {}
    for t, (name, size) in enumerate(zip(names, sizes, strict=True)):
        # The paper: duty = what must go − what later layers can lose at most − what is gone.
        gone = sum(share * of for share, of in zip(taken.values(), sizes, strict=False))
        duty = sparsity * total - most * sum(sizes[t + 1 :]) - gone
        share = bounded_action(cost, (1 - sparsity) * total, names, taken, actions[t], most)
        assert share == pytest.approx(max(min(actions[t], most), duty / size), abs=1e-5)
        assert 0 <= share <= most
        taken[name] = share
    assert cost(taken) <= (1 - sparsity) * total * (1 + 1e-8)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2), st.integers(0, 700).map(lambda x: x / 1000))
def test_a_cost_in_steps_and_with_coupled_layers_keeps_its_budget(actions, sparsity):
    def cost(shares):  # like filters of two layers in a chain, in whole channels
        first, second = (8 - round(8 * shares[name]) for name in "ab")
        return 9 * first + first * second

    budget, taken = (1 - sparsity) * (9 * 8 + 64), {}
    for name, action in zip("ab", actions, strict=True):
        taken[name] = bounded_action(cost, budget, "ab", taken, action, 0.9)
    assert cost(taken) <= budget * (1 + 1e-8)


def test_the_insensitive_layer_gives_more_and_every_episode_meets_the_budget():
    result = amc_search(problem_of(), 0.5, episodes=40, settings=QUICK, seed=1)
    assert len(result.history) == 40
    assert all(episode.cost <= 100 * (1 + 1e-8) for episode in result.history)
    assert result.reward == max(episode.reward for episode in result.history)
    # The best there is: 0.8 of the second, 0.2 of the first; accuracy 1 − 0.9 · 0.2.
    assert result.ratio.sparsity["1.weight"] == pytest.approx(0.8, abs=0.1)
    assert result.ratio.sparsity["0.weight"] == pytest.approx(0.2, abs=0.1)


def test_searches_repeat_by_their_seed_and_leave_model_and_global_state_alone():
    problem, state = problem_of(), torch.random.get_rng_state()
    before = {name: t.clone() for name, t in problem.model.state_dict().items()}
    first, again = (amc_search(problem, 0.5, episodes=5, settings=QUICK, seed=3) for _ in range(2))
    assert first == again != amc_search(problem, 0.5, episodes=5, settings=QUICK, seed=4)
    assert all(torch.equal(t, before[name]) for name, t in problem.model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_without_a_budget_error_and_cost_are_traded():
    seen = []
    result = amc_search(problem_of(), None, episodes=40, settings=QUICK, seed=1, on_episode=seen.append)
    assert tuple(seen) == result.history
    for episode in result.history:
        assert episode.reward == pytest.approx(-(1 - episode.accuracy) * math.log(episode.cost))
    assert result.ratio.sparsity["0.weight"] < result.ratio.sparsity["1.weight"]


def test_a_measured_latency_can_be_the_budget():
    def latency(model):  # only the second layer costs time
        return 1000.0 + 10 * float((model[1].weight != 0).sum())

    result = amc_search(problem_of(latency=latency), 0.25, episodes=10, settings=QUICK)
    assert all(episode.cost <= 1500 for episode in result.history)
    assert result.ratio.sparsity["1.weight"] >= 0.5 - 0.01  # half a weight in a hundred falls along


@pytest.mark.parametrize(
    ("choices", "options", "message"),
    [
        ({"evaluate": None}, {}, "give the problem an evaluate="),
        ({"example_inputs": None}, {}, "give the problem example_inputs="),
        ({}, {"sparsity": 0.9}, "cannot fall by 0.9: with 0.8 of every layer pruned it falls by 0.8"),
        ({}, {"sparsity": 1.5}, "in 0…1, not 1.5"),
        ({}, {"max_sparsity": 1.0}, "max_sparsity is .* not 1.0"),
        ({}, {"episodes": 0}, "1 episode or more, not 0"),
        ({"evaluate": lambda model: 93.0}, {}, "accuracy in 0…1; evaluate= gave 93.0"),
        ({"latency": lambda model: 0.004}, {"sparsity": None}, "cost above 1, not 0.004; use a smaller unit"),
    ],
)
def test_refuses_what_it_cannot_search(choices, options, message):
    with pytest.raises(ValueError, match=message):
        amc_search(problem_of(**choices), **{"sparsity": 0.5, "episodes": 1, "settings": QUICK, **options})


def test_rewards_by_hand():
    assert reward_of(0.75) == -0.25
    assert reward_of(0.75, math.e**4) == pytest.approx(-1)
