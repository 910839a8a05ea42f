"""torchvision comes in whether or not its compiled operators fit the installed torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.util import vision
from harness.util.names import UsageError

REPOSITORY = Path(__file__).resolve().parents[3]
FAILS_ONCE = """
import sys, torch
if not hasattr(torch.ops.torchvision, "qnms"):
    from torchvision import part
    raise RuntimeError("operator torchvision::nms does not exist")
from torchvision import part
"""
SCRIPT = "import torch; from harness.util.vision import import_torchvision as get; tv = get(); "


def test_networks_and_transforms_work_after_the_import() -> None:
    code = SCRIPT + "import torchvision; assert torchvision is tv is get(); from torchvision.transforms import v2; "
    code += (
        "print(v2.CenterCrop(2)(torch.zeros(1, 4, 4)).shape, tv.models.get_model('alexnet', weights=None).features[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout.startswith("torch.Size([1, 2, 2]) Conv2d(3, 64"), done.stderr


def test_a_build_for_another_torch_is_imported_once_its_operators_are_described(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(FAILS_ONCE)
    (tmp_path / "torchvision" / "part.py").touch()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {SCRIPT} print(tv.part.__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout == "torchvision.part\n", done.stderr


def test_without_torchvision_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(vision.importlib, "import_module", missing)
    with pytest.raises(UsageError, match="pip install 'torchvision"):
        vision.import_torchvision()


def test_other_failures_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(vision.importlib, "import_module", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        vision.import_torchvision()
