"""A transformer in integers, static and dynamic: admitted, integer operators throughout, counted as the float one."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from harness.entries.admit import admit
from harness.entries.export import export_onnx
from harness.models import bert
from harness.run.evaluate import OrtSession, check_batch_independence
from harness.tasks.task import InputContract
from hw_targets.eie.session import EieSession
from hw_targets.graph.onnx_graph import run_unoptimised
from hw_targets.graph.trace import trace
from hw_targets.graph.weights import removed_fraction, sizes
from pruning.masking import make_mask
from pruning.quantise import to_dynamic_int8, to_int8
from pruning.ratios import Uniform
from pruning.shrinking import head_mask, shrink_heads

LENGTH, LAYERS = 16, 2
LINEAR = 6 * LAYERS + 2  # query, key, value, output, two of the feed-forward pair; pooler and classifier
CONTRACT = InputContract(shape=(LENGTH,), dtype="int64", classes=2)
WAYS = {
    "static": lambda model, data: to_int8(model, data=data),
    "dynamic": lambda model, data: to_dynamic_int8(model),
}
INTEGER = {"QGemm", "QLinearMatMul", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulInteger"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> nn.Module:
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setattr(bert, "VOCABULARY", 50)
        patch.setattr(bert, "POSITIONS", 20)
        torch.manual_seed(0)
        made = bert._build(hidden=24, layers=LAYERS).eval()
        for parameter in made.parameters():  # so that outputs differ between sentences
            parameter.data.mul_(2)
        return made


def sentences(count: int) -> torch.Tensor:
    """Of three to sixteen tokens; the rest is padding."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, 50, (count, LENGTH), generator=generator)
    lengths = torch.randint(3, LENGTH + 1, (count, 1), generator=generator)
    return ids * (torch.arange(LENGTH) < lengths)


def batches() -> list[tuple[torch.Tensor, None]]:
    return [(sentences(64), None)]


@pytest.fixture(scope="module", params=WAYS)
def quantised(request, model) -> tuple[str, nn.Module]:
    return request.param, WAYS[request.param](model, batches())


def delivered(model: nn.Module, folder: Path) -> onnx.ModelProto:
    file = folder / "model.onnx"
    file.write_bytes(export_onnx(copy.deepcopy(model), sentences(2)).SerializeToString())
    return admit(file, CONTRACT, limit_bytes=1 << 22)


def run_operators(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """What ONNX Runtime runs after its optimisation."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def test_every_linear_layer_is_an_integer_operator(quantised, tmp_path):
    way, small = quantised
    operators = run_operators(delivered(small, tmp_path), tmp_path)
    assert sum(operators[name] for name in INTEGER) == LINEAR
    assert operators["MatMul"] + operators["FusedMatMul"] == 2 * LAYERS and not operators["Gemm"]
    assert not operators["DequantizeLinear"]
    rounded_once = 4 * LAYERS + 2  # one input for query, key and value
    if way == "static":
        assert operators["QGemm"] == LINEAR and operators["QuantizeLinear"] == rounded_once
    else:
        assert operators["MatMulInteger"] == 0
        assert operators["DynamicQuantizeLinear"] + operators["DynamicQuantizeMatMul"] == rounded_once


def test_torch_onnx_and_what_counts_agree(quantised, model, tmp_path):
    _, small = quantised
    onnx_model, ids = delivered(small, tmp_path), sentences(40)
    with torch.no_grad():
        expected, floats = small(ids).numpy(), model(ids).numpy()
    (plain,) = run_unoptimised(onnx_model, ["output"], {"input": ids.numpy()})
    spread = float(floats.std())
    # A value between two steps may fall to either side where float sums are rounded otherwise.
    assert np.abs(plain - expected).mean() < 0.02 * spread
    assert 0 < np.abs(plain - floats).mean() < 0.3 * spread
    dense = export_onnx(copy.deepcopy(model), sentences(2))
    assert removed_fraction(sizes(onnx_model), sizes(dense)) < 0.02  # what is rounded to zero
    assert sizes(onnx_model).weights == sizes(dense).weights
    traces, dense_traces = trace(onnx_model, ids[:2].numpy()), trace(dense, ids[:2].numpy())
    assert sorted((t.name, t.kind, t.macs_dense) for t in traces if t.weight is not None) == sorted(
        (t.name, t.kind, t.macs_dense) for t in dense_traces if t.weight is not None
    )
    weights = {t.name: t for t in traces}
    for each in (t for t in dense_traces if t.weight is not None):
        assert weights[each.name].weight_bits == 8
        assert np.abs(weights[each.name].weight - each.weight).max() <= np.abs(each.weight).max() / 127
    eie = EieSession(onnx_model, ids.numpy()).run(ids.numpy())
    assert np.abs(eie - plain).mean() < 0.5 * spread and len(EieSession(onnx_model, ids.numpy()).layers) == LINEAR


def test_static_answers_do_not_depend_on_the_batch(model, tmp_path):
    session = OrtSession(delivered(WAYS["static"](model, batches()), tmp_path))
    check_batch_independence(session, sentences(100).numpy())


def test_it_composes_with_heads_taken_out_and_with_a_mask(model, tmp_path):
    ids = sentences(8)
    heads = head_mask(model, criterion="magnitude", ratio=Uniform(0.5))
    fewer = shrink_heads(model, heads, ids)
    mask = make_mask(fewer, criterion="magnitude", granularity="element", ratio=Uniform(0.5))
    mask.apply_(fewer)
    expected = sizes(export_onnx(copy.deepcopy(fewer), sentences(2)))
    for way in WAYS.values():
        small = way(fewer, batches())
        assert all(not bool(small.get_submodule(name[:-7]).weight[~keep].any()) for name, keep in mask.items())
        found = sizes(delivered(small, tmp_path))
        assert found.weights == expected.weights < sizes(export_onnx(copy.deepcopy(model), sentences(2))).weights
        assert 0.95 * expected.nonzero < found.nonzero <= expected.nonzero
        assert sum(run_operators(delivered(small, tmp_path), tmp_path)[name] for name in INTEGER) == LINEAR
