"""How long `openprune --help` takes, beside the bare interpreter's own start.

Both are run in turn, so that a busy machine slows both; the ratio is the figure to watch.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
LIMIT_S = 0.4
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "openprune --help": ["-m", "harness.cli.main", "--help"],
    "openprune results --help": ["-m", "harness.cli.main", "results", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """Wall-clock time of one interpreter with `arguments`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> int:
    """Print medians and ratios; 1 where a command takes longer than the limit."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    medians = {name: statistics.median(values) for name, values in times.items()}
    bare = medians["python -c pass"]
    for name, median in medians.items():
        print(f"{name:26s} {1000 * median:7.1f} ms   {median / bare:5.2f} × bare python")
    slowest = max(medians.values())
    print(f"limit: {1000 * LIMIT_S:.0f} ms ({'kept' if slowest <= LIMIT_S else 'exceeded'})")
    return int(slowest > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
