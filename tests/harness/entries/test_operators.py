"""What the harness exports, it admits, counts and traces: over what torch offers for such networks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torch_modules import TOKENS, Group, Together
from torch_operators import GROUPS, REFUSED

from harness.entries.admit import ALLOWED_OPERATORS, admit
from harness.entries.export import export_onnx
from harness.entries.refused import NOT_EXPORTED
from harness.entries.refused import REFUSED as REFUSED_OPERATORS
from harness.entries.rules import RuleBroken
from harness.tasks.task import InputContract
from hw_targets.graph.integers import INTEGER_PRODUCTS
from hw_targets.graph.onnx_graph import MULTIPLYING, NOT_UNDERSTOOD, run_unoptimised
from hw_targets.graph.trace import trace
from hw_targets.graph.weights import sizes

PAGE = Path(__file__).parents[3] / "docs" / "onnx_operators.md"


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def inputs_of(shape: tuple[int, ...], n: int = 3) -> torch.Tensor:
    return torch.randint(0, 20, (n, *shape)) if shape == TOKENS else torch.randn(n, *shape)


def deliver(model: nn.Module, inputs: torch.Tensor, tmp_path: Path) -> onnx.ModelProto:
    """Exported, written and admitted."""
    with torch.no_grad():
        classes = model(inputs).shape[1]
    file = tmp_path / "model.onnx"
    file.write_bytes(export_onnx(model, inputs).SerializeToString())
    dtype = "int64" if inputs.dtype == torch.int64 else "float32"
    return admit(file, InputContract(tuple(inputs.shape[1:]), classes, dtype), limit_bytes=1 << 24)


def multiplied(group: Group, model: nn.Module) -> int:
    """Numbers in matrices that some layer multiplies by."""
    matrices = {name: p for name, p in model.named_parameters() if p.ndim > 1}
    return sum(p.numel() for name, p in matrices.items() if name.split(".")[-1] not in group.beside)


@pytest.mark.parametrize("kind", GROUPS)
def test_what_is_exported_is_admitted_counted_and_traced(kind, tmp_path):
    group = GROUPS[kind]
    model = Together({name: build() for name, build in group.members.items()}).eval()
    inputs = inputs_of(group.shape)
    admitted = deliver(model, inputs, tmp_path)
    assert {node.op_type for node in admitted.graph.node} <= ALLOWED_OPERATORS
    with torch.no_grad():
        expected = model(inputs).numpy()
    found = run_unoptimised(admitted, ["output"], {"input": inputs.numpy()})[0]
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    layers = trace(admitted, inputs.numpy())
    linear = 80 if kind == "embeddings" else 0
    assert sizes(admitted).weights == multiplied(group, model) + linear
    with FlopCounterMode(display=False) as counter:
        model(inputs)
    macs = counter.get_total_flops() // 2 // len(inputs) if group.macs is None else group.macs
    assert sum(layer.macs_dense for layer in layers) == macs
    for layer in layers:
        assert layer.macs_nonzero <= layer.macs_dense and layer.macs_effective <= layer.macs_dense
        assert layer.name and np.isfinite(layer.inputs).all()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_write(name, tmp_path):
    build, shape, rule, hint = REFUSED[name]
    model = Together({"it": build()}).eval()
    with pytest.raises(RuleBroken) as caught:
        deliver(model, inputs_of(shape), tmp_path)
    assert caught.value.rule == rule
    assert hint in str(caught.value)


def test_a_model_that_onnx_runtime_saved_is_admitted(tmp_path):
    """It imports all operator sets that the runtime knows, and uses none of them."""
    model = Together({"fc": nn.Linear(8, 3)}).eval()
    inputs = inputs_of((8,))
    (tmp_path / "plain.onnx").write_bytes(export_onnx(model, inputs).SerializeToString())
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "saved.onnx")
    onnxruntime.InferenceSession(str(tmp_path / "plain.onnx"), options, providers=["CPUExecutionProvider"])
    saved = onnx.load(tmp_path / "saved.onnx")
    assert "com.microsoft" in {entry.domain for entry in saved.opset_import}
    assert admit(tmp_path / "saved.onnx", InputContract((8,), 3), limit_bytes=1 << 20) == saved


def test_the_page_of_operators_is_that_of_the_tables():
    page = PAGE.read_text()
    allowed, _, refused = page.partition("## What is refused")
    table = "".join(line for line in allowed.splitlines() if line.startswith("| "))
    named = set(re.findall(r"`(\w+)`", table))
    assert named == ALLOWED_OPERATORS
    rows = [line.replace("\\|", "|") for line in refused.splitlines() if line.startswith("| ")]
    for operator, each in REFUSED_OPERATORS.items():
        assert any(f"`{operator}`" in row and each.torch in row and each.instead in row for row in rows), operator
    for each in NOT_EXPORTED.values():
        assert any(each.torch in row and each.instead in row for row in rows), each.torch


def test_the_tables_agree():
    assert not ALLOWED_OPERATORS & REFUSED_OPERATORS.keys()
    assert set(MULTIPLYING) <= ALLOWED_OPERATORS
    assert not (NOT_UNDERSTOOD - INTEGER_PRODUCTS.keys()) & ALLOWED_OPERATORS
    assert REFUSED_OPERATORS.keys() <= {schema.name for schema in onnx.defs.get_all_schemas()}
