import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from pruning.criteria import Snip, Taylor
from pruning.masking import make_mask
from pruning.ratios import Global

NAMES = ["conv1.weight", "conv2.weight", "head.weight"]


def test_is_the_slope_by_a_gate_on_each_connection_in_shares_of_all(convnet, images):
    inputs, labels = images[0]
    convnet.eval()
    weights = {name: convnet.get_parameter(name).detach() for name in NAMES}
    gates = {name: torch.ones_like(weight, requires_grad=True) for name, weight in weights.items()}
    gated = {name: gates[name] * weights[name] for name in NAMES}
    slopes = torch.autograd.grad(F.cross_entropy(functional_call(convnet, gated, (inputs,)), labels), gates.values())
    whole = sum(float(slope.abs().sum()) for slope in slopes)
    scores = Snip().scores(convnet, NAMES, images)
    for name, slope in zip(NAMES, slopes, strict=True):
        assert torch.allclose(scores[name].float(), slope.abs() / whole, rtol=1e-4, atol=1e-8)


def test_shares_sum_to_one_over_all_layers(convnet, images):
    scores = Snip(max_batches=None).scores(convnet, NAMES, images)
    assert sum(float(of_layer.sum()) for of_layer in scores.values()) == pytest.approx(1)
    taylor = Taylor().scores(convnet, NAMES, images)
    assert torch.equal(scores["conv2.weight"].flatten().argsort(), taylor["conv2.weight"].double().flatten().argsort())


def test_the_paper_takes_one_batch(convnet, images):
    first, all_of_them = Snip(), Snip(max_batches=None)
    assert torch.equal(
        first.scores(convnet, NAMES, images)["head.weight"], first.scores(convnet, NAMES, images[:1])["head.weight"]
    )
    assert not torch.equal(
        first.scores(convnet, NAMES, images)["head.weight"], all_of_them.scores(convnet, NAMES, images)["head.weight"]
    )


def test_one_threshold_over_all_layers_removes_the_exact_share(convnet, images):
    mask = make_mask(convnet, criterion="snip", granularity="element", ratio=Global(0.75), data=images)
    assert mask.total - mask.kept == round(0.75 * mask.total)


def test_refuses_a_network_that_is_cut_through(convnet, images):
    nn.init.zeros_(convnet.head.weight)
    nn.init.zeros_(convnet.bn2.weight)
    nn.init.zeros_(convnet.bn2.bias)
    with pytest.raises(ValueError, match="No weight has any effect on the loss"):
        Snip().scores(convnet, NAMES, images)
