"""Every baseline entry compresses the smallest task, as the worker runs it, or says which tasks it is for."""

import re
import sys
from dataclasses import asdict
from pathlib import Path

import onnx
import pytest
import torch
import yaml
from torch import nn

from harness.contract import ParameterError
from harness.entries.context import WorkerContext
from harness.entries.loading import load_submission, submission_names
from harness.entries.worker import Job, run_job
from harness.models import build_model
from harness.run.reference import reference_file
from harness.tasks import load_task
from hw_targets.graph.weights import sizes

SUBMISSIONS = Path(__file__).resolve().parents[2] / "submissions"
ENTRIES = submission_names()
DIGITS = {"layers": 3, "weights": 64 * 100 + 100 * 50 + 50 * 10}

# What makes each submission quick on digits, and what must come of it: the layers left, the largest share of
# weights that are there (dense: 1) and that are not zero, and the largest share of bytes, as encoded.
SHRUNK = {"layers": 3, "there": 0.6, "nonzero": 0.6, "bytes": 0.6}
ON_DIGITS = {
    "amc": ({"episodes": 4, "epochs": 0}, SHRUNK),
    "apoz": ({"steps": 1}, SHRUNK),
    "channel_l1": ({"epochs": 0}, SHRUNK),
    "channel_regression": ({"epochs": 0}, SHRUNK),
    "deep_compression": ({"steps": 1, "epochs": 1, "epochs_codebook": 1}, {"nonzero": 0.101, "bytes": 0.16}),
    "feature_map": ({"epochs": 0}, SHRUNK),
    "gradual": ({"epochs": 1, "every": 5}, {"nonzero": 0.101}),
    "int8": ({}, {"bytes": 0.4}),
    "iterative_magnitude": ({"steps": 2, "epochs": 1}, {"nonzero": 0.081}),
    "layer_folding": ({"epochs_folding": 1, "epochs": 0}, {"layers": 2}),
    "load_balanced": ({"steps": 1, "epochs": 1}, {"nonzero": 0.151}),
    "lottery_ticket": ({"rounds": 1, "epochs": 1, "control": "shuffled"}, {"nonzero": 0.201}),
    "magnitude": ({"epochs": 1}, {"nonzero": 0.281}),
    "netadapt": ({"latency_removed": 0.5, "step": 0.2, "epochs": 0, "multiple_of": 25}, SHRUNK),
    "nm_2to4": ({"epochs": 0}, {"nonzero": (6400 / 2 + 5000 / 2 + 500) / DIGITS["weights"]}),
    "optimal_brain_damage": ({"steps": 1, "epochs": 1, "batches": 1}, {"nonzero": 0.081}),
    "qat": ({"epochs": 1}, {"bytes": 0.4}),
    "relevance": ({"steps": 1}, SHRUNK),
    "rigl": ({"epochs": 1, "every": 10}, {"nonzero": 0.101}),
    "sensitivity": ({"epochs": 0}, {"nonzero": 0.151}),
    "snip": ({"epochs": 1}, {"nonzero": 0.201}),
    "taylor": ({"steps": 1}, SHRUNK),
    "template": ({}, {"nonzero": 0.501}),
}
# A perceptron has no such structure; what the submission says names a task that has.
REFUSED = {
    "depth": "cifar10_resnet20",
    "heads": "rotten_tomatoes_minilm",
    "kernel_patterns": "cifar10_resnet20",
    "network_slimming": "cifar10_resnet20",
}


@pytest.fixture(scope="module")
def digits():
    task = load_task("digits_mlp")
    return task, reference_file(task).path


@pytest.fixture
def work(digits, tmp_path, monkeypatch):
    """`(entry, overrides) → (result, ONNX model or None)`, by the worker's code, in this process."""

    def count_weights(context, model, target="cpu"):  # a latency that is the same each time
        return float(sum(parameter.numel() for parameter in model.parameters()))

    monkeypatch.setattr(WorkerContext, "latency", count_weights)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "submission", raising=False)

    def run(name, overrides):
        task, weights = digits
        entry = load_submission(name, overrides)
        job = Job(asdict(task), str(weights), name, str(entry.folder), dict(entry.parameters), 0, str(tmp_path), 600.0)
        result = run_job(job)
        file = tmp_path / "model.onnx"
        return result, onnx.load(file) if file.exists() else None

    return run


def test_every_entry_is_tried():
    assert sorted({*ON_DIGITS, *REFUSED, "compose", "dense"}) == ENTRIES


@pytest.mark.parametrize("name", sorted(ON_DIGITS))
def test_an_entry_compresses_a_perceptron(work, name):
    overrides, expected = ON_DIGITS[name]
    result, model = work(name, overrides)
    assert (result.rule, result.usage, result.message) == (None, None, "")
    size = sizes(model)
    assert len(size.layers) == expected.get("layers", 3)
    assert size.weights <= expected.get("there", 1) * DIGITS["weights"]
    assert 0 < size.nonzero <= expected.get("nonzero", 1) * DIGITS["weights"]
    assert size.bytes_encoded <= expected.get("bytes", 1.02) * 4 * DIGITS["weights"]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_an_entry_says_for_which_tasks_it_is(work, name):
    result, model = work(name, {})
    assert model is None and result.rule is None
    assert REFUSED[name] in result.usage


FILTER_ENTRIES = ["apoz", "channel_regression", "feature_map", "network_slimming", "relevance", "taylor"]


@pytest.mark.parametrize("name", FILTER_ENTRIES)
def test_filters_inside_residual_blocks_are_taken_out(compress, name):
    small, context = compress(name, build_model("resnet20", seed=0).eval(), sparsity=0.5)
    blocks = [block for stage in (small.layer1, small.layer2, small.layer3) for block in stage]
    inner = [block.conv1.out_channels for block in blocks]
    assert inner == [block.conv2.in_channels for block in blocks]
    assert all(width % 4 == 0 for width in inner) and sum(inner) < 0.65 * (3 * 16 + 3 * 32 + 3 * 64)
    assert [block.conv2.out_channels for block in blocks] == [16] * 3 + [32] * 3 + [64] * 3
    assert small(context.data.sample).shape == (4, 10)


def test_network_slimming_trains_with_a_penalty_on_batch_norm_and_then_without(compress):
    _, context = compress("network_slimming", build_model("resnet20", seed=0).eval())
    slimming, fine_tuning = context.trainings
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8))  # its scales are 1
    logits, labels = torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64)
    penalty = 8 * context.config["strength"]
    assert slimming["loss"](model, logits, labels).item() == pytest.approx(penalty + torch.tensor(2.0).log().item())
    assert fine_tuning["loss"] is None


def test_kernel_patterns_keep_four_weights_of_every_kernel_that_stays(compress):
    pruned, context = compress("kernel_patterns", build_model("resnet20", seed=0).eval(), connectivity=0.25)
    inner = [module for module in pruned.modules() if isinstance(module, nn.Conv2d)][1:]
    kernels = torch.cat([(layer.weight != 0).flatten(2).flatten(0, 1) for layer in inner])
    assert sorted(kernels.sum(1).unique().tolist()) == [0, 4]
    assert float((kernels.sum(1) == 0).float().mean()) == pytest.approx(0.25, abs=1e-4)
    assert all(len((layer.weight != 0).flatten(2).flatten(0, 1).unique(dim=0)) <= 8 + 1 for layer in inner)
    assert bool((pruned.conv1.weight != 0).all())
    assert context.trainings[0]["teacher"] is not None


def test_depth_takes_out_the_blocks_that_change_least(compress):
    model = build_model("resnet20", seed=0).eval()
    with torch.no_grad():
        model.layer2[1].bn2.weight.fill_(1e-3)  # this block gives almost what it gets
    small, context = compress("depth", model)
    assert not list(small.layer2[1].parameters())
    assert sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in small.parameters()) == 2 * (
        9 * 1024 + 64
    )
    assert small(context.data.sample).shape == (4, 10)


def test_heads_are_taken_out_of_a_transformer(compress):
    from harness.models.bert import BertClassifier, _prepare

    _prepare()
    from transformers import BertConfig

    config = BertConfig(vocab_size=20, hidden_size=12, num_hidden_layers=2, num_attention_heads=4, intermediate_size=16)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertClassifier(config).eval()
    ids = torch.randint(1, 20, (4, 7), generator=torch.Generator().manual_seed(1))
    small, context = compress("heads", model, ids, sparsity=0.5)
    widths = [module.query.out_features for module in small.modules() if hasattr(module, "query")]
    assert sum(widths) == 2 * 12 / 2 and min(widths) >= 3
    assert small(ids).shape == (4, 2)
    assert context.trainings[0]["epochs"] == context.config["epochs"]


def test_layer_folding_refuses_a_network_in_which_nothing_can_merge(compress):
    padded = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.Flatten())
    for model in (padded, build_model("resnet20", seed=0)):  # the second calls F.relu
        with pytest.raises(ParameterError, match="digits_mlp"):
            compress("layer_folding", model)


def test_optimal_brain_damage_refuses_to_tell_tokens_apart(compress):
    with pytest.raises(ParameterError, match="estimate=hutchinson"):
        compress("optimal_brain_damage", nn.Embedding(20, 4), torch.ones(4, 7, dtype=torch.int64))


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_has_its_three_files_and_a_source(name):
    folder = SUBMISSIONS / name
    config, readme = yaml.safe_load((folder / "config.yaml").read_text()), (folder / "README.md").read_text()
    assert readme.startswith(f"# {name}\n")
    assert len((folder / "submission.py").read_text().splitlines()) <= 60
    rows = [row.strip("| ").split(" | ") for row in readme.splitlines() if row.startswith("| `")]
    told = {parameter: cells[1] for cells in rows for parameter in re.findall(r"`(\w+)`", cells[0])}
    assert sorted(told) == sorted(config)
    if name in ("dense", "compose"):  # no technique of its own
        return
    assert {parameter: yaml.safe_load(default) for parameter, default in told.items()} == config
    assert re.search(r"arXiv\s\d{4}\.\d{4,5}|\(NIPS\s\d{4}\)", readme)
    first_line = (folder / "submission.py").read_text().splitlines()[0]
    assert name == "template" or re.search(r"\d{4}", first_line)


def test_the_table_of_entries_has_them_all():
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\) \|", (SUBMISSIONS / "README.md").read_text(), re.MULTILINE)
    assert all(name == folder for name, folder in rows)
    assert sorted([*(name for name, _ in rows), "compose"]) == sorted(ENTRIES)
