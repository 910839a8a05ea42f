"""DDPG: learn one continuous action from a reward (Lillicrap et al. 2015, arXiv 1509.02971).

A critic learns what an action is worth in a state, and an actor learns the action that the critic
likes best. This is the variant of AMC (He et al. 2018, arXiv 1802.03494): every step of an episode
gets the reward of its end, the discount is 1, a moving average of past rewards is subtracted, and
noise is drawn from a normal distribution truncated to 0…1. Libraries of reinforcement learning have
DDPG, but not that reward and noise, and they bring an environment framework for a loop of 20 lines.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class DdpgSettings:
    """How the agent learns; the sizes, the soft update and the noise are AMC's.

    Attributes:
        hidden: units of each of the two hidden layers of actor and critic.
        tau: share by which the target networks follow in each update.
        batch, replay: transitions in one update, and remembered.
        explore: episodes of constant noise `sigma`, in which only the critic learns: an actor that
            follows a critic without experience runs into a corner. Then the noise decays by
            `sigma_decay` an episode.
        baseline_decay: of the moving average of rewards.
        updates: for each step of an episode.
    """

    hidden: int = 300
    actor_rate: float = 1e-4
    critic_rate: float = 1e-3
    tau: float = 0.01
    discount: float = 1.0
    batch: int = 64
    replay: int = 2000
    explore: int = 100
    sigma: float = 0.5
    sigma_decay: float = 0.95
    baseline_decay: float = 0.95
    updates: int = 1

    def sigma_at(self, episode: int) -> float:
        """The standard deviation of the noise in an episode, counted from 0."""
        return self.sigma * self.sigma_decay ** max(0, episode + 1 - self.explore)


class Critic(nn.Module):
    """What an action is worth: `[n, state], [n, 1] → [n, 1]`; the action enters at the second layer."""

    def __init__(self, state_size: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(state_size, hidden), nn.Linear(hidden + 1, hidden)
        self.last = nn.Linear(hidden, 1)
        # As one of many inputs the action would start with weights so small that the critic is linear in it.
        nn.init.uniform_(self.second.weight[:, -1:], -1, 1)

    def forward(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        inner = F.relu(self.first(state))
        return self.last(F.relu(self.second(torch.cat([inner, action], 1))))


class Ddpg:
    """An agent whose actions are single numbers in 0…1.

    All its random choices follow from `seed`; the global random state is left alone.
    """

    def __init__(self, state_size: int, settings: DdpgSettings | None = None, *, seed: int = 0) -> None:
        self.settings = settings or DdpgSettings()
        self.generator = torch.Generator().manual_seed(seed)
        hidden = self.settings.hidden
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            first, second, last = nn.Linear(state_size, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)
            self.actor = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last, nn.Sigmoid())
            self.critic = Critic(state_size, hidden)
        for final in (last, self.critic.last):
            nn.init.uniform_(final.weight, -3e-3, 3e-3, generator=self.generator)
            nn.init.zeros_(final.bias)
        self.target_actor, self.target_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=self.settings.actor_rate)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=self.settings.critic_rate)
        self.memory: deque[tuple[torch.Tensor, ...]] = deque(maxlen=self.settings.replay)
        self.baseline: float | None = None
        self.episodes = 0

    @torch.no_grad()
    def act(self, state: torch.Tensor, sigma: float = 0.0) -> float:
        """The action in `state` `[state_size]`, with noise of standard deviation `sigma`."""
        mean = float(self.actor(state[None]))
        return truncated_normal(mean, sigma, self.generator) if sigma > 0 else mean

    def learn(self, states: Sequence[torch.Tensor], actions: Sequence[float], reward: float) -> None:
        """Remember an episode and its reward, and take a few gradient steps.

        Args:
            states: `[state_size]` each, one for each action.
        """
        self.episodes += 1
        decay = self.settings.baseline_decay
        self.baseline = reward if self.baseline is None else decay * self.baseline + (1 - decay) * reward
        followers = [*states[1:], torch.zeros_like(states[-1])]
        for step, (state, action, follower) in enumerate(zip(states, actions, followers, strict=True)):
            goes_on = float(step + 1 < len(states))
            self.memory.append((state, follower, torch.tensor([action, reward, goes_on])))
        for _ in range(self.settings.updates * len(states)):
            self._update()

    def _update(self) -> None:
        chosen = torch.randint(len(self.memory), (self.settings.batch,), generator=self.generator).tolist()
        state, follower, numbers = map(torch.stack, zip(*(self.memory[index] for index in chosen), strict=True))
        action, reward, goes_on = numbers[:, :1], numbers[:, 1:2], numbers[:, 2:]
        assert self.baseline is not None  # set with the first episode
        with torch.no_grad():
            later = self.target_critic(follower, self.target_actor(follower))
            worth = reward - self.baseline + self.settings.discount * goes_on * later
        self.critic_optimizer.zero_grad()
        F.mse_loss(self.critic(state, action), worth).backward()
        self.critic_optimizer.step()
        if self.episodes > self.settings.explore:
            self.actor_optimizer.zero_grad()
            (-self.critic(state, self.actor(state)).mean()).backward()
            self.actor_optimizer.step()
        for network, target in ((self.actor, self.target_actor), (self.critic, self.target_critic)):
            for own, following in zip(network.parameters(), target.parameters(), strict=True):
                following.data.lerp_(own.data, self.settings.tau)


def truncated_normal(mean: float, sigma: float, generator: torch.Generator) -> float:
    """One number of the normal distribution cut to 0…1, by inverting its distribution function."""
    low, high = torch.special.ndtr((torch.tensor([0.0, 1.0], dtype=torch.float64) - mean) / sigma)
    uniform = torch.rand((), dtype=torch.float64, generator=generator)
    drawn = mean + sigma * float(torch.special.ndtri(low + (high - low) * uniform))
    return min(max(drawn, 0.0), 1.0)
