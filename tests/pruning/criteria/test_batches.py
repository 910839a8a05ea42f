"""What holds of every criterion that looks at data."""

import copy

import pytest
import torch

from pruning.criteria import (
    APoZ,
    BatchNormScale,
    FeatureMap,
    OptimalBrainDamage,
    Regression,
    Relevance,
    Snip,
    Taylor,
)

NEED_DATA = [
    Taylor(),
    Taylor(unit="filter", average="importances"),
    Snip(max_batches=None),
    OptimalBrainDamage(),
    OptimalBrainDamage(estimate="hutchinson", probes=2),
    APoZ(),
    FeatureMap(positions=None),
    FeatureMap(greedy=True),
    Regression(positions=None),
    Relevance(),
    Relevance(decay=0.8),
]
# Whose scores depend on the samples alone, not on how they come in batches.
OF_SAMPLES = [
    Taylor(),
    Taylor(unit="channel"),
    Snip(max_batches=None),
    OptimalBrainDamage(),
    APoZ(),
    FeatureMap(positions=None),
    Regression(positions=None),
    Relevance(),
]
CONVOLUTIONS = ["conv1.weight", "conv2.weight"]


def close(first, second):
    return all(torch.allclose(first[name], second[name], rtol=1e-4, atol=1e-6) for name in first)


@pytest.mark.parametrize("criterion", NEED_DATA, ids=repr)
def test_says_that_it_needs_data(convnet, criterion):
    with pytest.raises(ValueError, match=f"{type(criterion).__name__} looks at data, and there is none"):
        criterion.scores(convnet, CONVOLUTIONS)
    with pytest.raises(ValueError, match="not one batch"):
        criterion.scores(convnet, CONVOLUTIONS, [])
    none = type(criterion)(max_batches=0)
    with pytest.raises(ValueError, match=r"max_batches of .* must be 1 or more"):
        none.scores(convnet, CONVOLUTIONS, [(torch.zeros(1), torch.zeros(1))])


@pytest.mark.parametrize("criterion", [*NEED_DATA, BatchNormScale()], ids=repr)
def test_scores_fit_the_weights_and_the_model_comes_back_as_it_was(convnet, images, criterion):
    convnet.train()
    convnet.bn2.eval()
    convnet.conv1.weight.requires_grad_(False)
    convnet.head.weight.grad = torch.ones_like(convnet.head.weight)
    state = copy.deepcopy(convnet.state_dict())
    modes = {name: module.training for name, module in convnet.named_modules()}
    random_state = torch.random.get_rng_state()
    with torch.no_grad():  # as a caller may have it
        scores = criterion.scores(convnet, CONVOLUTIONS, iter(images))
        assert not torch.is_grad_enabled()
    assert list(scores) == CONVOLUTIONS
    for name, of_layer in scores.items():
        assert torch.isfinite(of_layer.expand(convnet.get_parameter(name).shape)).all()
        assert not of_layer.requires_grad
    assert all(torch.equal(tensor, state[name]) for name, tensor in convnet.state_dict().items())
    assert {name: module.training for name, module in convnet.named_modules()} == modes
    assert not any(module._forward_hooks for module in convnet.modules())
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert convnet.head.weight.grad.eq(1).all()
    assert convnet.conv2.weight.grad is None
    assert [p.requires_grad for p in convnet.parameters()] == [False] + [True] * 8


@pytest.mark.parametrize("criterion", OF_SAMPLES, ids=repr)
def test_neither_the_order_of_samples_nor_their_batches_matter(convnet, images, criterion):
    inputs, labels = (torch.cat(parts) for parts in zip(*images, strict=True))
    whole = criterion.scores(convnet, CONVOLUTIONS, [(inputs.flip(0), labels.flip(0))])
    assert close(whole, criterion.scores(convnet, CONVOLUTIONS, images))


@pytest.mark.parametrize("criterion", OF_SAMPLES, ids=repr)
def test_looks_at_no_more_than_max_batches(convnet, images, criterion):
    one = type(criterion)(max_batches=1)
    assert close(one.scores(convnet, CONVOLUTIONS, images), one.scores(convnet, CONVOLUTIONS, images[:1]))


@pytest.mark.parametrize("criterion", NEED_DATA, ids=repr)
def test_takes_token_ids_and_layers_that_see_many_tokens_a_sample(tokennet, sentences, criterion):
    scores = criterion.scores(tokennet, ["up.weight", "down.weight"], sentences)
    for name, of_layer in scores.items():
        assert torch.isfinite(of_layer.expand(tokennet.get_parameter(name).shape)).all()
        assert of_layer.abs().sum() > 0


def test_a_failure_leaves_no_hook_and_no_mode_behind(convnet):
    convnet.train()
    for criterion in NEED_DATA:
        with pytest.raises(RuntimeError):
            criterion.scores(convnet, CONVOLUTIONS, [(torch.zeros(2, 5, 7, 7), torch.zeros(2, dtype=torch.int64))])
    assert all(module.training and not module._forward_hooks for module in convnet.modules())


@pytest.mark.parametrize("criterion", [OptimalBrainDamage(), APoZ(), FeatureMap(), Regression(), Relevance()], ids=repr)
def test_refuses_what_is_no_layers_weight(convnet, images, criterion):
    with pytest.raises(ValueError, match=r"bn1\.weight is not the weight of a convolution or linear layer"):
        criterion.scores(convnet, ["bn1.weight"], images)
