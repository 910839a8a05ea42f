"""What else the machine does, and how much memory this process took."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil


class OtherLoad:
    """Processor time of everything but this process, since this object was made."""

    def __init__(self) -> None:
        self._start = self._read()

    def fraction(self) -> float:
        """Share of all the machine's cores that other processes (and the host) kept busy, 0…1."""
        clock, busy, own = (now - then for now, then in zip(self._read(), self._start, strict=True))
        cores = psutil.cpu_count() or 1
        return min(max((busy - own) / (clock * cores), 0.0), 1.0) if clock > 0 else 0.0

    @staticmethod
    def _read() -> tuple[float, float, float]:
        times, own = psutil.cpu_times(), psutil.Process().cpu_times()
        # user and nice already hold guest and guest_nice (Linux, proc(5)).
        idle = sum(getattr(times, name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice"))
        return time.monotonic(), sum(times) - idle, own.user + own.system


def peak_resident_bytes() -> int:
    """Most memory that this process has had resident, in bytes.

    On Linux from `VmHWM`, which starts anew with the program; `ru_maxrss` would carry the size of
    the process that started this one over.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
