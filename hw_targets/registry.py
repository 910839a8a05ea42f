"""The targets, by name."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw_targets.target import Target

if TYPE_CHECKING:
    import numpy as np
    import onnx


def _cpu(options: Mapping[str, Any]) -> Target:
    from hw_targets.cpu.settings import CpuOptions
    from hw_targets.cpu.target import CpuTarget

    check_options("cpu", options, [field.name for field in fields(CpuOptions)])
    return CpuTarget(CpuOptions(**options))


def _eie(options: Mapping[str, Any]) -> Target:
    from hw_targets.eie.config import EieConfig
    from hw_targets.eie.target import EieTarget

    check_options("eie", options, [field.name for field in fields(EieConfig)])
    return EieTarget(EieConfig(**options))


def _cpu_latency_ns(model: onnx.ModelProto, sample: np.ndarray) -> float:
    from hw_targets.cpu.runner import median_latency_ns

    return median_latency_ns(model, sample)


def _eie_latency_ns(model: onnx.ModelProto, sample: np.ndarray) -> float:
    from hw_targets.eie.network import simulate_network
    from hw_targets.eie.session import EieSession

    times = simulate_network(model, EieSession(model, sample), sample[:4]).time_s
    return float(sorted(times)[len(times) // 2]) * 1e9


TARGETS: Mapping[str, Callable[[Mapping[str, Any]], Target]] = {
    "cpu": _cpu,
    "eie": _eie,
}
QUICK_LATENCY: Mapping[str, Callable[[onnx.ModelProto, np.ndarray], float]] = {
    "cpu": _cpu_latency_ns,
    "eie": _eie_latency_ns,
}


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
    if name not in TARGETS:
        raise ValueError(f"There is no target named {name!r}. {_nearest(name, TARGETS)}")
    return TARGETS[name](options or {})


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
    lacking = [
        member for member in ("configuration", "availability", "numerics", "measure") if not hasattr(target, member)
    ]
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
    if name not in QUICK_LATENCY:
        raise ValueError(f"No target named {name!r} tells a quick latency. {_nearest(name, QUICK_LATENCY)}")
    return QUICK_LATENCY[name](model, sample)


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
