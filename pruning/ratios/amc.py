"""AMC: an agent walks through the layers, says how much each loses, and learns from the accuracy.

He et al. 2018, arXiv 1802.03494. The state of layer t has the paper's 11 features, the action is the
layer's sparsity, and the pruned model is judged without fine-tuning at the end of each walk. Under
a budget the reward is −error, and actions are bounded so that the budget can still be met with all
later layers at their largest sparsity (the paper's Algorithm 1, here for any cost that falls when a
layer loses more). Without one it is −error · log(cost), which buys accuracy and cost at once.

The lectures write the reward of a missed budget as −∞; bounded actions never miss it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from pruning.ratios.cost import ROUNDING, Cost, LayerCost, cost_of, traced
from pruning.ratios.counting import check_sparsity
from pruning.ratios.ddpg import Ddpg, DdpgSettings
from pruning.ratios.per_layer import PerLayer
from pruning.ratios.problem import Problem

STATIC = ("t", "n", "c", "h", "w", "stride", "k")
FEATURES = (*STATIC, "flops", "reduced", "rest", "last_action")
HALVINGS = 30  # of the range of an action, when the least one is sought


@dataclass(frozen=True)
class Episode:
    """One walk through the layers, and what came of it."""

    sparsity: Mapping[str, float]
    accuracy: float
    cost: float
    reward: float


@dataclass(frozen=True)
class AmcResult:
    """The ratio of the best episode, its reward, and all episodes in order."""

    ratio: PerLayer
    reward: float
    history: tuple[Episode, ...]


def amc_search(
    problem: Problem,
    sparsity: float | None,
    *,
    cost: Cost | None = None,
    max_sparsity: float = 0.8,
    episodes: int = 400,
    settings: DdpgSettings | None = None,
    seed: int = 0,
    on_episode: Callable[[Episode], None] | None = None,
) -> AmcResult:
    """Search sparsities for the layers of `problem`, which needs `evaluate` and `example_inputs`.

    Args:
        sparsity: share of the dense model's cost that must go; None for the soft reward.
        cost: of given sparsities; default `cost_of(problem)`. It is asked some thirty times a layer
            and episode, so let a measured one be a table. Counted costs take shares as they are:
            rounding to whole groups can miss the budget by half a group in each layer.
        episodes: more than `settings.explore`, or all of them are random.
        max_sparsity: of any layer, between 0 and 1; the agent's actions, in 0…1, are shares of it.
        on_episode: called after each episode.

    Raises:
        ValueError: the problem lacks something, a number is out of its range, the budget cannot be
            met with all layers at `max_sparsity`, an accuracy is not in 0…1, or, for the soft
            reward, a cost is not above 1, where its logarithm would reward errors.
    """
    if sparsity is not None:
        check_sparsity(sparsity)
    if not 0 < max_sparsity < 1:
        raise ValueError(f"max_sparsity is the most that a layer may lose, between 0 and 1, not {max_sparsity}.")
    if episodes < 1:
        raise ValueError(f"AMC takes 1 episode or more, not {episodes}.")
    evaluate, names = problem.evaluator("AMC"), problem.names
    traced_layers = traced(problem)
    layers = {name: traced_layers[name] for name in names}
    cost = cost or cost_of(problem)
    budget = None if sparsity is None else _budget(cost, names, sparsity, max_sparsity)
    settings = settings or DdpgSettings()
    agent = Ddpg(len(FEATURES), settings, seed=seed)
    history: list[Episode] = []
    for number in range(episodes):
        shares: dict[str, float] = {}
        states = []
        for name in names:
            states.append(state_features(layers, shares))
            action = max_sparsity * agent.act(states[-1], settings.sigma_at(number))
            if budget is not None:
                action = bounded_action(cost, budget, names, shares, action, max_sparsity)
            shares[name] = action
        accuracy, spent = evaluate(problem.masked(shares)[0]), cost(shares)
        episode = Episode(shares, accuracy, spent, reward_of(accuracy, spent if budget is None else None))
        history.append(episode)
        agent.learn(states, [share / max_sparsity for share in shares.values()], episode.reward)
        if on_episode is not None:
            on_episode(episode)
    best = max(history, key=lambda episode: episode.reward)
    return AmcResult(problem.ratio(best.sparsity), best.reward, tuple(history))


def state_features(layers: Mapping[str, LayerCost], taken: Mapping[str, float]) -> torch.Tensor:
    """The state of the layer after those in `taken`, float32 `[11]`, in the order of `FEATURES`.

    `n × c × k × k` is the layer's kernel, `c × h × w` its input. `reduced` is what earlier layers
    have lost, `rest` what later layers have. All is in 0…1: the static features and `flops` as a
    share of the largest layer's, `reduced` and `rest` of all layers together.

    Args:
        layers: all layers, in order.
        taken: name → sparsity of the first `len(taken)` of them.
    """
    step, costs = len(taken), list(layers.values())
    static = [
        (t, of.outputs, of.inputs, of.height, of.width, of.stride, of.kernel, of.macs) for t, of in enumerate(costs)
    ]
    largest = [max(column) or 1 for column in zip(*static, strict=True)]
    total = sum(of.macs for of in costs)
    reduced = sum(share * layers[name].macs for name, share in taken.items())
    rest = sum(of.macs for of in costs[step + 1 :])
    last = list(taken.values())[-1] if taken else 0.0
    own = [value / most for value, most in zip(static[step], largest, strict=True)]
    return torch.tensor([*own, reduced / total, rest / total, last])


def bounded_action(
    cost: Cost, budget: float, names: Sequence[str], taken: Mapping[str, float], action: float, max_sparsity: float
) -> float:
    """`action`, raised to the least from which the budget can still be met (Algorithm 1).

    Args:
        names: all layers in order; the action is for the one after those in `taken`.
    """
    name, *later = names[len(taken) :]

    def within(action: float) -> bool:
        return cost({**taken, name: action, **dict.fromkeys(later, max_sparsity)}) <= budget * (1 + ROUNDING)

    action = min(action, max_sparsity)
    if within(action):
        return action
    low, high = action, max_sparsity  # high is within: that was seen to when the layer before was decided
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if within(middle) else (middle, high)
    return high


def reward_of(accuracy: float, cost: float | None = None) -> float:
    """−error, or with a cost −error · log(cost).

    Raises:
        ValueError: an accuracy that is not in 0…1, or a cost that is not above 1.
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(f"AMC's reward needs an accuracy in 0…1; evaluate= gave {accuracy}.")
    if cost is None:
        return accuracy - 1
    if not cost > 1:
        raise ValueError(f"The reward −error · log(cost) needs a cost above 1, not {cost}; use a smaller unit.")
    return (accuracy - 1) * math.log(cost)


def _budget(cost: Cost, names: Sequence[str], sparsity: float, max_sparsity: float) -> float:
    dense = cost(dict.fromkeys(names, 0.0))
    budget, least = (1 - sparsity) * dense, cost(dict.fromkeys(names, max_sparsity))
    if least > budget * (1 + ROUNDING):
        raise ValueError(
            f"The cost cannot fall by {sparsity}: with {max_sparsity} of every layer pruned it falls by "
            f"{1 - least / dense:.4g}. Raise max_sparsity or prune more layers."
        )
    return budget
