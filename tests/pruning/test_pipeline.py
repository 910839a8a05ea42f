"""Choices by name: what goes together runs, what does not is refused with the reason."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pruning.choices import Choices
from pruning.criteria import CRITERIA
from pruning.masking import make_mask
from pruning.pipeline import run
from pruning.ratios import Uniform
from pruning.recovery import fine_tune
from pruning.shrinking import Trace, coupled, prunable_filters, shrink


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    ).eval()


def perceptron(*widths: int) -> nn.Module:
    torch.manual_seed(0)
    layers = [part for pair in pairwise(widths) for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers[:-1]).eval()


def train(model, *, epochs, learning_rate=None, mask=None, teacher=None, loss=None):
    """A few steps of a plain loop that keeps masks, moving ones too."""
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate or 0.01, momentum=0.9)
    steps, inputs, labels = 4 * epochs, *BATCHES[0]
    now = None if callable(mask) else mask
    model.train()
    for step in range(steps):
        logits = model(inputs)
        objective = loss(model, logits, labels) if loss else F.cross_entropy(logits, labels)
        if teacher is not None:
            objective = objective + F.mse_loss(logits, teacher(inputs).detach())
        optimizer.zero_grad()
        objective.backward()
        if callable(mask):
            now = mask(model, step, steps) or now
        optimizer.step()
        with torch.no_grad():
            for name, keep in (now or {}).items():
                model.get_parameter(name).mul_(keep)
    return model.eval()


generator = torch.Generator().manual_seed(1)
BATCHES = [(torch.randn(16, 3, 6, 6, generator=generator), torch.randint(0, 4, (16,), generator=generator))] * 3
TOOLS = SimpleNamespace(
    seed=0,
    data=SimpleNamespace(train=BATCHES, sample=BATCHES[0][0]),
    fresh_model=network,
    train=train,
    evaluate=lambda model: float((model(BATCHES[0][0]).argmax(1) == BATCHES[0][1]).float().mean()),
    latency=lambda model: float(sum(p.numel() for p in model.parameters())),
)


def zeros(model: nn.Module) -> float:
    weights = [p for p in model.parameters() if p.ndim > 1]
    return 1 - sum(int(w.count_nonzero()) for w in weights) / sum(w.numel() for w in weights)


@pytest.mark.parametrize("criterion", sorted(CRITERIA))
def test_every_criterion_prunes_its_own_units(criterion):
    unit = CRITERIA[criterion]().unit
    granularity = "element" if unit == "weight" else unit
    choices = Choices(criterion=criterion, granularity=granularity, ratio="uniform", sparsity=0.5, layers=["3"])
    assert (run(network(), choices, TOOLS)[3].weight == 0).float().mean() == 0.5


@pytest.mark.parametrize(
    "chosen",
    [
        {"schedule": "iterative", "options": {"schedule": {"steps": 2, "spacing": "geometric"}}},
        {"schedule": "gradual", "options": {"schedule": {"every": 1}}},
        {"schedule": "lottery", "options": {"schedule": {"rounds": 2}}},
        {"schedule": "rigl", "criterion": "random", "start": "fresh", "ratio": "erk"},
        {"recovery": "distil", "penalty": "l1"},
        {"recovery": "none"},
        {"recovery": "reconstruct"},
        {"ratio": "sensitivity", "schedule": "iterative"},
        {"criterion": "snip", "start": "fresh"},
        {"start": "fresh", "recovery": "distil"},
    ],
    ids=str,
)
def test_schedules_recoveries_and_ratios_reach_the_share(chosen):
    model = run(network(), Choices(**{"sparsity": 0.5, **chosen}), TOOLS)
    assert zeros(model) == pytest.approx(0.5, abs=0.01)


def test_a_pattern_brings_its_own_share():
    model = run(network(), Choices(granularity="nm", layers=["3"]), TOOLS)
    groups = model[3].weight.permute(0, 2, 3, 1).reshape(-1, 4)
    assert groups.count_nonzero(1).eq(2).all()


@pytest.mark.parametrize(
    "chosen",
    [
        {"granularity": "filter"},
        {"granularity": "filter", "criterion": "apoz", "schedule": "iterative", "ratio": "uniform"},
        {"granularity": "filter", "ratio": "netadapt", "options": {"ratio": {"first_step": 0.2}}},
        {"granularity": "channel", "criterion": "feature_map", "layers": ["3"], "ratio": "uniform"},
        {"granularity": "channel", "ratio": "uniform"},
    ],
    ids=str,
)
def test_what_falls_whole_is_taken_out(chosen):
    model = run(network(), Choices(**{"sparsity": 0.5, "shrink": True, **chosen}), TOOLS)
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in network().parameters())
    assert model(BATCHES[0][0]).shape == (16, 4)


def test_one_step_learns_small_what_it_would_learn_masked():
    """The shrunk network trains as the masked one: same gradients, and nothing of what is gone comes back."""
    trained = []

    def train_small(model, **how):
        trained.append(sum(p.numel() for p in model.parameters()))
        return train(model, **how)

    chosen = {"granularity": "filter", "ratio": "uniform", "sparsity": 0.5, "epochs": 2}
    small = run(network(), Choices(shrink=True, **chosen), SimpleNamespace(**{**vars(TOOLS), "train": train_small}))
    assert trained == [sum(p.numel() for p in small.parameters())]

    model, inputs = network(), BATCHES[0][0]
    trace = Trace(model, inputs[:2])
    mask = make_mask(
        model, criterion="magnitude", granularity="filter", ratio=Uniform(0.5), layers=prunable_filters(model, trace)
    )
    mask = coupled(model, mask, trace)
    masked = shrink(fine_tune(model, mask, train=train, epochs=2), mask, trace)
    torch.testing.assert_close(small(inputs), masked(inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("schedule", ["one_shot", "iterative"])
@pytest.mark.parametrize("quantise", ["none", "qat"])
def test_channels_that_cannot_be_taken_out_stay_gone(schedule, quantise):
    """The first layer reads the images, so its channels are masked alone; training does not bring them back."""
    model = perceptron(108, 16, 4)
    chosen = {"granularity": "channel", "ratio": "uniform", "layers": ["1", "3"], "shrink": True}
    small = run(model, Choices(sparsity=0.5, schedule=schedule, quantise=quantise, **chosen), TOOLS)
    weight = small.get_submodule("1").weight
    assert weight.shape == (8, 108)
    assert int((weight == 0).all(0).sum()) == 54


def test_netadapt_counts_channels_where_channels_fall():
    def macs(model):
        return sum(p.numel() for p in model.parameters() if p.ndim > 1)

    chosen = {"granularity": "channel", "ratio": "netadapt", "options": {"ratio": {"first_step": 0.1}}, "layers": ["3"]}
    small = run(perceptron(108, 64, 4), Choices(sparsity=0.3, shrink=True, recovery="none", **chosen), TOOLS)
    removed = 1 - macs(small) / macs(perceptron(108, 64, 4))
    assert 0.3 <= removed < 0.3 + 2 / 64


def test_a_depthwise_layer_keeps_its_only_channel():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
    pruned = run(model.eval(), Choices(granularity="channel", ratio="uniform", sparsity=0.6, recovery="none"), TOOLS)
    assert pruned[2].weight.count_nonzero() == pruned[2].weight.numel()
    assert float(pruned(BATCHES[0][0]).detach().std(0).max()) > 0


def test_shares_of_single_layers_can_be_given():
    shares = {"0.weight": 0.0, "3.weight": 0.75, "8.weight": 0.5}
    pruned = run(network(), Choices(ratio="per_layer", options={"ratio": {"sparsity": shares}}), TOOLS)
    assert [float((pruned[i].weight == 0).float().mean()) for i in (0, 3, 8)] == [0.0, 0.75, 0.5]


def test_zeros_of_a_layer_without_a_codebook_hold_too():
    chosen = {"ratio": "uniform", "quantise": "codebook", "options": {"quantise": {"bits": {"conv": 4}}}}
    model = run(network(), Choices(sparsity=0.5, **chosen), TOOLS)
    assert [float((model[i].weight == 0).float().mean()) for i in (0, 3, 8)] == [0.5, 0.5, 0.5]


def test_bits_that_do_not_fit_are_refused_before_any_work():
    def never(model, **how):
        raise AssertionError("trained")

    with pytest.raises(ValueError, match="16"):
        choices = Choices(sparsity=0.5, quantise="int8", options={"quantise": {"bits": 16}})
        run(network(), choices, SimpleNamespace(**{**vars(TOOLS), "train": never}))


def test_an_error_of_the_training_is_passed_on_as_it_is():
    def broken(model, **how):
        raise TypeError("forward() missing 1 argument")

    with pytest.raises(TypeError, match=r"^forward\(\) missing 1 argument$"):
        run(network(), Choices(sparsity=0.5), SimpleNamespace(**{**vars(TOOLS), "train": broken}))


@pytest.mark.parametrize("quantise", ["codebook", "int8", "qat"])
def test_quantising_keeps_the_zeros(quantise):
    model = run(network(), Choices(sparsity=0.5, quantise=quantise), TOOLS)
    weights = [module.weight for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert sum(int((w == 0).sum()) for w in weights) >= 0.5 * sum(w.numel() for w in weights) - 1
    assert all(len(w.unique()) <= 256 for w in weights)


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({"criterion": "magnitud"}, "Did you mean magnitude"),
        ({"granularity": "filtr"}, "Did you mean filter"),
        ({"ratio": "globl"}, "Did you mean global"),
        ({"schedule": "itrative"}, "Did you mean iterative"),
        ({"recovery": "distill"}, "Did you mean distil"),
        ({"penalty": "l3"}, "Known: batch_norm_l1"),
        ({"options": {"criterio": {}}}, "Did you mean criterion"),
        ({"options": {"criterion": {"q": 2}}}, "criterion=magnitude does not take the options"),
        ({"sparsity": 1.0}, "in 0…1 without 1, not 1.0"),
        ({"sparsity": None}, "sparsity is not set"),
        ({"criterion": "apoz"}, "scores whole filters and says nothing about single weights"),
        ({"criterion": "regression", "granularity": "filter"}, "choose granularity=channel"),
        ({"criterion": "feature_map", "granularity": "channel"}, "compare within a layer only"),
        ({"granularity": "nm"}, "leave ratio and sparsity out"),
        ({"granularity": "nm", "sparsity": None, "schedule": "iterative"}, "has one sparsity"),
        ({"granularity": "nm", "sparsity": None, "options": {"granularity": {"n": 5}}}, "5"),
        ({"schedule": "rigl", "granularity": "filter"}, "moves single weights"),
        ({"schedule": "gradual", "epochs": 0}, "prunes while it trains"),
        ({"schedule": "lottery", "recovery": "none"}, "prunes while it trains"),
        ({"start": "fresh", "recovery": "reconstruct"}, "undoes start=fresh"),
        ({"start": "fresh", "recovery": "none"}, "yet to be trained"),
        ({"start": "fresh", "ratio": "sensitivity"}, "there is none yet"),
        ({"granularity": "heads", "ratio": "erk"}, "cuts four layers at once"),
        ({"granularity": "heads", "layers": ["3"]}, "heads of all blocks"),
        ({"granularity": "heads", "options": {"granularity": {"head_size": 4}}}, "leave its options out"),
        ({"options": {"ratio": {"sparsity": 0.9}}}, "is sparsity itself"),
        ({"ratio": "per_layer"}, "the share of each layer, as options.ratio.sparsity"),
        ({"ratio": "per_layer", "options": {"ratio": {"sparsity": {"3.weight": 0.5}}}}, "leave sparsity itself out"),
        ({"options": {"schedule": {"steps": 3}}}, "schedule=one_shot has no option 'steps'"),
        ({"ratio": "amc", "options": {"ratio": {"episode": 3}}}, "Did you mean episodes"),
        ({"quantise": "codebook", "options": {"quantise": {"bit": 4}}}, "Did you mean bits"),
        ({"layers": "3"}, r"write \[3\]"),
        ({"sparsity": "0.5"}, "must be a number, not '0.5'"),
        ({"epochs": 1.5}, "whole number, not 1.5"),
        ({"options": None}, "options must map"),
        ({"options": {"criterion": None}}, "options.criterion must map"),
        ({"shrink": True}, "leaves holes"),
    ],
    ids=str,
)
def test_combinations_without_sense_are_refused(chosen, reason):
    with pytest.raises(ValueError, match=reason):
        Choices(**{"sparsity": 0.5, **chosen})


def test_reconstruction_needs_no_training():
    chosen = {"granularity": "channel", "ratio": "uniform", "sparsity": 0.5, "layers": ["3"], "epochs": 0}
    plain = run(network(), Choices(recovery="none", **chosen), TOOLS)
    solved = run(network(), Choices(recovery="reconstruct", **chosen), TOOLS)
    inputs, target = BATCHES[0][0], network()[:4](BATCHES[0][0])
    error = [float((model[:4](inputs) - target).square().sum().detach()) for model in (solved, plain)]
    assert error[0] < error[1] and zeros(solved) == zeros(plain)
