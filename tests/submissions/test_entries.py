import ast
import sys
from pathlib import Path

import pytest
import torch

from harness.models import build_model

SUBMISSIONS = Path(__file__).resolve().parents[2] / "submissions"
ENTRIES = sorted(path.parent.name for path in SUBMISSIONS.glob("*/submission.py"))


@pytest.fixture
def model():
    return build_model("resnet20", seed=0)


def weights(model):
    return {name: p for name, p in model.named_parameters() if p.ndim > 1}


def zeros(parameters):
    parameters = list(parameters)
    return sum(int((p == 0).sum()) for p in parameters) / sum(p.numel() for p in parameters)


def test_dense_returns_the_reference_itself(compress, model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    returned, context = compress("dense", model)
    assert returned is model
    assert all(torch.equal(tensor, before[name]) for name, tensor in returned.state_dict().items())
    assert context.trainings == []


@pytest.mark.parametrize("overrides", [{}, {"sparsity": 0.9, "epochs": 2, "learning_rate_factor": 0.01}])
def test_magnitude_prunes_by_one_threshold_and_trains_with_the_mask(compress, model, overrides):
    returned, context = compress("magnitude", model, **overrides)
    sparsity = context.config["sparsity"]
    assert zeros(weights(returned).values()) == pytest.approx(sparsity, abs=1e-5)
    kept = torch.cat([w[w != 0].abs() for w in weights(returned).values()])
    reference = torch.cat([w.detach().abs().flatten() for w in weights(build_model("resnet20", seed=0)).values()])
    assert kept.min() >= reference.sort().values[int(sparsity * len(reference)) - 1]
    (training,) = context.trainings
    assert (training["epochs"], training["learning_rate"]) == (
        context.config["epochs"],
        context.config["learning_rate_factor"] * context.recipe.learning_rate,
    )
    assert set(training["mask"]) == set(weights(returned))
    assert zeros(weights(training["teacher"]).values()) == 0  # the dense network, not the one that is pruned


@pytest.mark.parametrize(("sparsity", "widths"), [(0.5, [8, 16, 32]), (0.7, [8, 16, 24]), (1.0, [8, 8, 8])])
def test_channel_l1_takes_inner_filters_out_in_eights(compress, model, sparsity, widths):
    returned, context = compress("channel_l1", model, sparsity=sparsity)
    for stage, (width, full) in enumerate(zip(widths, [16, 32, 64], strict=True), start=1):
        for block in returned.get_submodule(f"layer{stage}"):
            assert (block.conv1.out_channels, block.conv2.in_channels) == (width, width)
            assert block.conv2.out_channels == full
    assert returned(context.data.sample).shape == (4, 10)
    (training,) = context.trainings
    assert (training["epochs"], training["mask"]) == (context.config["epochs"], None)


def test_channel_l1_keeps_the_filters_of_largest_l1_norm(compress, model):
    original = model.layer2[1].conv1.weight.detach().clone()
    returned, _ = compress("channel_l1", model)
    best = original.abs().sum((1, 2, 3)).topk(16).indices.sort().values
    assert torch.equal(returned.layer2[1].conv1.weight, original[best])


def test_template_works_as_it_is(compress, model):
    returned, context = compress("template", model)
    assert zeros([returned.conv1.weight]) == 0
    assert zeros([p for name, p in weights(returned).items() if name != "conv1.weight"]) == pytest.approx(0.5)
    assert context.trainings[0]["mask"].sparsity == pytest.approx(0.5)


def test_template_fits_on_one_screen():
    lines = (SUBMISSIONS / "template" / "submission.py").read_text().splitlines()
    assert 20 <= len(lines) <= 50


@pytest.mark.parametrize("entry", ENTRIES)
def test_entries_import_techniques_and_the_contract_only(entry):
    tree = ast.parse((SUBMISSIONS / entry / "submission.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.startswith("harness")} <= {"harness.contract"}
    outside = {name.split(".")[0] for name in imported} - sys.stdlib_module_names
    assert outside <= {"torch", "harness", "pruning"}
