"""The one place through which torchvision is imported.

A torchvision that was built for another torch (PyPI's CUDA build beside a CPU torch) cannot load its
compiled operators, and its import stops where it describes two of them to torch. Networks,
transforms and data sets need neither: once the operators' schemas are defined, all of that works.
On a fitting pair of builds the plain import succeeds and nothing else happens. transformers imports
torchvision too, so call this before that library is imported.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from harness.util.names import UsageError

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
OPERATORS = ("nms", "qnms")
_LIBRARIES: list[object] = []  # torch drops a library's schemas with the object that defined them


def import_torchvision() -> ModuleType:
    """Import torchvision, whether or not its compiled operators fit the torch that is installed.

    Raises:
        UsageError: torchvision is not installed; the message says what to install.
        RuntimeError: torchvision fails for another reason than its missing operators.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise UsageError(
            "torchvision is not installed. Install it beside torch: pip install 'torchvision>=0.23,<0.29'"
        ) from error
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    _define_schemas()
    return importlib.import_module("torchvision")


def _define_schemas() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + SCHEMA)
    _LIBRARIES.append(library)
