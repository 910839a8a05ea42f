"""Plain ONNX: the same numbers, a free batch, the layers as they were, and no word of this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from harness.entries.export import export_onnx
from harness.entries.rules import RuleBroken
from harness.models import build_model
from harness.run.evaluate import OrtSession


def test_resnet20_exports_plainly():
    model = build_model("resnet20", seed=1).eval()
    inputs = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    exported = export_onnx(model, inputs)
    with torch.no_grad():
        expected = model(inputs).numpy()
    assert np.abs(OrtSession(exported).run(inputs.numpy()) - expected).max() < 1e-4
    kinds = [node.op_type for node in exported.graph.node]
    assert kinds.count("Conv") == kinds.count("BatchNormalization") == 19  # nothing is folded
    assert str(Path(__file__).parents[3]).encode() not in exported.SerializeToString()


def test_the_operator_that_cannot_be_exported_is_named():
    class Strange(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(self.fc(x)[:, :, None] * self.fc(x)[:, None, :]).real

    with pytest.raises(RuleBroken) as caught:
        export_onnx(Strange(), torch.randn(3, 4))
    assert caught.value.rule == "not_exportable"
    assert "linalg_eig" in str(caught.value) and "Traceback" in caught.value.detail


def test_control_flow_on_data_is_refused_with_the_reason():
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.sum() > 0 else x

    with pytest.raises(RuleBroken, match="cannot be exported"):
        export_onnx(Branching(), torch.randn(3, 4))
