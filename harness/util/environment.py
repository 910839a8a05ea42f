"""What machine and software a result was made with."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from hw_targets.measuring.processor import processor_name

LIBRARIES = (
    "torch",
    "torchvision",
    "accelerate",
    "transformers",
    "tokenizers",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "numpy",
    "numba",
    "scikit-learn",
    "mlcommons-loadgen",
    "zeus",
)
# Name in import statements → name of the distribution, where they differ.
IMPORTED_AS = {"PIL": "pillow", "mlperf_loadgen": "mlcommons-loadgen", "sklearn": "scikit-learn", "yaml": "PyYAML"}


@cache
def library_version(module: str) -> str | None:
    """Version of the library that is imported as `module`; None where no distribution has installed it."""
    version = _version(IMPORTED_AS.get(module, module))
    if version is not None or not is_importable(module):
        return version
    found = metadata.packages_distributions().get(module, ())  # reads what all of them installed: slow
    return ", ".join(f"{name} {_version(name)}" for name in sorted(set(found))) or None


def is_importable(module: str) -> bool:
    """Whether there is a top-level module of this name; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # it is there, made by hand
        return True


def library_versions() -> dict[str, str]:
    """Versions of the libraries that shape a result; absent ones are left out."""
    versions = {"python": platform.python_version()}
    found = ((name, _version(name)) for name in LIBRARIES)
    return versions | {name: version for name, version in found if version is not None}


@cache
def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


@cache
def source_commit() -> str:
    """The commit of the checkout this code runs from, `-dirty` where files differ, or `unknown`."""
    root = Path(__file__).resolve().parents[2]
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else "unknown"


def machine_fingerprint() -> str:
    """Twelve hexadecimal digits: latencies compare only where these are equal."""
    parts = (processor_name(), str(os.cpu_count()), platform.machine(), platform.system())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def describe_environment() -> dict:
    """Commit, versions, processor, cores, operating system and fingerprint, fit for JSON."""
    return {
        "commit": source_commit(),
        "versions": library_versions(),
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "machine_fingerprint": machine_fingerprint(),
    }
