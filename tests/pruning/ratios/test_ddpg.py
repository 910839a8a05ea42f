import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruning.ratios.ddpg import Ddpg, DdpgSettings, truncated_normal

SMALL = DdpgSettings(hidden=64, actor_rate=5e-4, critic_rate=5e-3, batch=32, explore=80, updates=5, tau=0.05)


def play(agent, reward, episodes, states):
    for number in range(episodes):
        actions = [agent.act(state, agent.settings.sigma_at(number)) for state in states]
        agent.learn(states, actions, reward(*actions))


@pytest.mark.parametrize("best", [0.2, 0.75])
def test_it_solves_a_bandit_of_one_step(best):
    agent, state = Ddpg(2, SMALL, seed=1), torch.tensor([1.0, 0.5])
    play(agent, lambda action: -((action - best) ** 2), 130, [state])
    assert agent.act(state) == pytest.approx(best, abs=0.1)


def test_it_tells_the_steps_of_an_episode_apart():
    agent, states = Ddpg(2, SMALL, seed=1), [torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])]
    play(agent, lambda first, second: -((first - 0.2) ** 2) - (second - 0.8) ** 2, 130, states)
    assert [agent.act(state) for state in states] == pytest.approx([0.2, 0.8], abs=0.15)


def test_noise_is_constant_while_exploring_and_then_decays():
    settings = DdpgSettings(explore=3, sigma=0.5, sigma_decay=0.9)
    assert [settings.sigma_at(e) for e in range(5)] == pytest.approx([0.5, 0.5, 0.5, 0.45, 0.405])


def test_all_follows_from_the_seed_and_the_global_state_is_left_alone():
    def actions(seed):
        agent, state = Ddpg(2, SMALL, seed=seed), torch.ones(2)
        play(agent, lambda action: action, 5, [state])
        return [agent.act(state, 0.5) for _ in range(3)]

    before = torch.random.get_rng_state()
    assert actions(0) == actions(0) != actions(1)
    assert torch.equal(torch.random.get_rng_state(), before)


@given(st.floats(0, 1), st.floats(1e-3, 10), st.integers(0, 9))
def test_noisy_actions_stay_in_range(mean, sigma, seed):
    assert 0 <= truncated_normal(mean, sigma, torch.Generator().manual_seed(seed)) <= 1


def test_the_truncated_normal_has_the_textbook_mean():
    mean, sigma = 0.9, 0.5
    low, high = (0 - mean) / sigma, (1 - mean) / sigma

    def density(x):
        return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)

    def below(x):
        return (1 + math.erf(x / math.sqrt(2))) / 2

    expected = mean + sigma * (density(low) - density(high)) / (below(high) - below(low))
    generator = torch.Generator().manual_seed(0)
    drawn = [truncated_normal(mean, sigma, generator) for _ in range(3000)]
    assert sum(drawn) / len(drawn) == pytest.approx(expected, abs=0.02)


def test_the_baseline_is_a_moving_average_of_rewards():
    agent = Ddpg(1, DdpgSettings(hidden=4, baseline_decay=0.5, updates=0))
    for reward in (1.0, 0.0, 2.0):
        agent.learn([torch.ones(1)], [0.5], reward)
    assert agent.baseline == pytest.approx(1.25)
