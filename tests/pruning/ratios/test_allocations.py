from itertools import pairwise

import pytest
import torch
from torch import nn

from pruning.masking import make_mask
from pruning.ratios import ALLOCATIONS, PerLayer, Problem
from pruning.ratios.ddpg import DdpgSettings

QUICK = DdpgSettings(hidden=16, actor_rate=2e-3, critic_rate=5e-3, explore=20)
OPTIONS = {
    "erk": {},
    "sensitivity": {"ratios": (0.0, 0.3, 0.6, 0.9)},
    "amc": {"episodes": 20, "settings": QUICK},
    "netadapt": {"first_step": 0.1},
}


def mask_at(model, ratio, within):
    return make_mask(model, criterion="magnitude", granularity="filter", ratio=ratio, within=within)


def evaluate(model):
    """The first layer is worth much, the second little."""
    first, second = (float((layer.weight == 0).double().mean()) for layer in model)
    return 1 - 0.8 * first - 0.1 * second


def problem_of(**choices):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 20))
    choices = {"evaluate": evaluate, "example_inputs": torch.zeros(1, 20), **choices}
    return Problem(model, ("0.weight", "1.weight"), mask_at, **choices)


@pytest.mark.parametrize("name", list(ALLOCATIONS))
def test_all_are_called_alike_and_meet_the_rate_within_the_rounding(name):
    problem = problem_of()
    before = {key: t.clone() for key, t in problem.model.state_dict().items()}
    ratio = ALLOCATIONS[name](problem, 0.4, **OPTIONS[name])
    assert isinstance(ratio, PerLayer)
    removed = problem.mask_at(problem.model, ratio, None).sparsity
    assert removed >= 0.4 - 0.026  # half a filter in each of the layers, of 40 filters
    assert name == "amc" or removed <= 0.4 + 0.026
    assert all(torch.equal(t, before[key]) for key, t in problem.model.state_dict().items())


@pytest.mark.parametrize("name", ["sensitivity", "amc", "netadapt"])
def test_those_that_look_at_the_accuracy_spare_the_sensitive_layer(name):
    ratio = ALLOCATIONS[name](problem_of(), 0.4, **OPTIONS[name])
    assert ratio.sparsity["1.weight"] > ratio.sparsity["0.weight"] + 0.2


def test_equal_layers_get_equal_shares_by_shape():
    assert ALLOCATIONS["erk"](problem_of(), 0.4).sparsity == pytest.approx({"0.weight": 0.4, "1.weight": 0.4})


def test_rounding_is_passed_on():
    for name, allocate in ALLOCATIONS.items():
        ratio = allocate(problem_of(multiple_of=4, keep_at_least=4), 0.3, **OPTIONS[name])
        assert (ratio.multiple_of, ratio.keep_at_least) == (4, 4)


def test_netadapt_carries_masks_and_short_term_fine_tuning():
    calls, steps = [], []

    def train(model, mask):
        calls.append(mask)
        with torch.no_grad():
            for layer in model:
                layer.weight.add_(1.0)
        return mask.apply_(model)

    ALLOCATIONS["netadapt"](problem_of(train=train), 0.3, first_step=0.1, on_step=steps.append)
    masks = [step.model[1] for step in steps]
    assert len(calls) == 2 * len(steps)
    assert all(later & earlier == later for earlier, later in pairwise(masks))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "names no parameter"),
        (("0.weights",), r"no parameter '0\.weights' to prune\. Did you mean 0\.weight"),
        (("0.weight", "0.weight"), "named twice"),
    ],
)
def test_a_problem_names_parameters_of_its_model(names, message):
    with pytest.raises(ValueError, match=message):
        Problem(nn.Sequential(nn.Linear(2, 2)), names, mask_at)
