"""The targets, by name."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw_targets.target import Target

if TYPE_CHECKING:
    import numpy as np
    import onnx


# Each class has `OPTIONS`, the dataclass of its options, and may have `quick_latency_ns(model, sample)`.
TARGETS: Mapping[str, str] = {
    "cpu": "hw_targets.cpu.target:CpuTarget",
    "eie": "hw_targets.eie.target:EieTarget",
}
MEMBERS = ("configuration", "availability", "numerics", "measure")  # of every target


def target_names() -> list[str]:
    """Names of all targets, whether this machine has them or not."""
    return sorted(TARGETS)


def is_file(name: str) -> bool:
    """Whether a target is named by the file that it stands in."""
    return name.endswith(".py")


def make_target(name: str, options: Mapping[str, Any] | None = None) -> Target:
    """Make the target `name`, which may be a file with a class `Target` in it.

    Raises:
        ValueError: no such target, no such option, or an option out of range; names the nearest.
    """
    if is_file(name):
        return _from_file(Path(name), options or {})
    made = _class_of(name)
    check_options(name, options or {}, [field.name for field in fields(made.OPTIONS)])
    target: Target = made(made.OPTIONS(**(options or {})))
    return target


def _from_file(file: Path, options: Mapping[str, Any]) -> Target:
    """The target in a file from outside; its name is the file's, without the ending.

    Raises:
        ValueError: the file is not there, cannot be imported, or holds no target; or no such option.
    """
    name = file.stem
    if name in TARGETS:
        raise ValueError(f"{file} is called like the target {name}; give the file another name.")
    spec = importlib.util.spec_from_file_location(f"target_{name}", file.expanduser().resolve())
    if spec is None or spec.loader is None or not file.expanduser().is_file():
        raise ValueError(f"There is no file {file} with a target in it.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where keys look for its file
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    made = getattr(module, "Target", None)
    if made is None:
        raise ValueError(f"{file} defines no class named Target; see hw_targets/target.py for what it has.")
    known = list(inspect.signature(made).parameters)
    check_options(name, options, known)
    target = made(**options)
    lacking = [member for member in MEMBERS if not hasattr(target, member)]
    if lacking or getattr(target, "name", name) != name:
        what = f"lacks {', '.join(lacking)}" if lacking else f"is named {target.name!r}, not {name!r} as its file"
        raise ValueError(f"The target in {file} {what}; see hw_targets/target.py.")
    return target


def quick_latency_ns(name: str, model: onnx.ModelProto, sample: np.ndarray) -> float:
    """Median time of one batch-1 inference on target `name`, in ns: rough and fast, for searches.

    Args:
        sample: inputs `[n, …]`, float32, taken in turn.

    Raises:
        ValueError: no such target, or one that cannot be asked in passing.
    """
    quick = getattr(_class_of(name), "quick_latency_ns", None)
    if quick is None:
        raise ValueError(f"The target {name} cannot be asked for a latency in passing.")
    return float(quick(model, sample))


def _class_of(name: str) -> Any:
    """The class of the target `name`.

    Raises:
        ValueError: no such target; names the nearest.
    """
    if name not in TARGETS:
        raise ValueError(f"There is no target named {name!r}. {_nearest(name, TARGETS)}")
    module, _, own = TARGETS[name].partition(":")
    return getattr(importlib.import_module(module), own)


def check_options(target: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse options that the target does not have.

    Raises:
        ValueError: names the nearest option.
    """
    known = list(known)
    for option in options:
        if option not in known:
            raise ValueError(f"The target {target} has no option {option!r}. {_nearest(str(option), known)}")


def _nearest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
