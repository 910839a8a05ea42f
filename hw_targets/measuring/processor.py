"""What the processor is called."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path


@cache
def processor_name() -> str:
    """The processor's model, family and stepping: hypervisors shorten the name alone."""
    try:
        lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
        fields = {key.strip(): value.strip() for key, _, value in lines if key.strip()}
    except OSError:
        return platform.processor() or platform.machine()
    name = fields.get("model name", platform.machine())
    parts = [fields.get("cpu family"), fields.get("model"), fields.get("stepping")]
    return f"{name} (family {parts[0]}, model {parts[1]}, stepping {parts[2]})" if all(parts) else name
