"""What machine and software a result was made with."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from hw_targets.cpu.processor import processor_name

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


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of the libraries that shape a result; absent ones are left out."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@cache
def source_commit() -> str:
    """The commit of the checkout this code runs from, `-dirty` where files differ, or `unknown`."""
    root = Path(__file__).resolve().parent.parent
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
