"""torchvision, imported where the build of torch beside it lacks its operators, too.

PyPI's torchvision is built for CUDA; beside a torch for the CPU alone it cannot load its own
library, and its import fails at the operators that the library defines. Models, transforms and data
sets need none of them: with the operators' schemas declared, the import succeeds.
"""

from __future__ import annotations

from types import ModuleType


def import_torchvision() -> ModuleType:
    """Import torchvision.

    Raises:
        ImportError: it is not installed.
        RuntimeError: it is installed, and broken in another way.
    """
    import importlib
    import sys

    import torch

    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    module = importlib.import_module("torchvision")
    module.__dict__["_schemas"] = library  # the schemas last as long as this object
    return module
