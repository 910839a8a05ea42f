"""A dense network against itself, on a quiet machine and beside two processes that come and go.

    python tests/bench/bench_noise.py [--measurements 100] [--network resnet20|mlp] [--threads 0] [--json]

Every other measurement of effort `quick` has company: two processes that compute and sleep in turns
of about 0.2 s, drawn from an exponential distribution, and are stopped (SIGSTOP) and continued
(SIGCONT) at random, about every 0.5 s. The true ratio is 1.00 by construction.

Requirements, exit status 1 if one is not met:

- no measurement fails, and none lacks its ratio;
- at least 93 % of the intervals of `speedup_vs_dense` hold 1.00 (with both kinds together);
- every measurement ends within 60 s;
- ResNet-20: every interval is within ±2 % of its value where it is quiet, ±10 % beside the two processes;
- beside the two processes every measurement is marked as noisy.

The quiet half means something only if nothing else runs: the load of other processes is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parents[2]))

from hw_targets.cpu.settings import CpuOptions
from hw_targets.cpu.target import CpuTarget
from hw_targets.target import TargetError

NETWORKS = {"resnet20": ("resnet20", (3, 32, 32)), "mlp": ("digits_mlp", (1, 8, 8))}
COVERAGE, SECONDS = 0.93, 60.0
WIDTHS = {"quiet": 0.02, "busy": 0.10}
BURST_S, STOP_S = 0.2, 0.5
BURSTING = f"""
import random, time
while True:
    end = time.monotonic() + random.expovariate(1 / {BURST_S})
    while time.monotonic() < end:
        pass
    time.sleep(random.expovariate(1 / {BURST_S}))
"""


@dataclass(frozen=True)
class Measured:
    """One measurement; `failed` says why there is no ratio."""

    company: str
    seconds: float
    failed: str | None = None
    ratio: float = 0.0
    low: float = 0.0
    high: float = 0.0
    other_load: float = 0.0
    noisy: bool = False

    @property
    def holds(self) -> bool:
        return self.failed is None and self.low <= 1 <= self.high

    @property
    def width(self) -> float:
        """How far the interval reaches up from the value, relative to it, and down by the same factor."""
        return (self.high / self.low) ** 0.5 - 1 if self.failed is None else float("inf")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measurements", type=int, default=100)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="resnet20")
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime; 0 means all cores")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    arguments = parser.parse_args()
    model, samples = network(arguments.network)
    found = []
    for number in range(arguments.measurements):
        company = ("quiet", "busy")[number % 2]
        with bursting_processes() if company == "busy" else contextlib.nullcontext():
            found.append(measure(model, samples, arguments.threads, company))
        print(_line(number, found[-1]), file=sys.stderr, flush=True)
    missed = requirements_missed(found, arguments.network)
    if arguments.json:
        print(json.dumps({"measurements": [asdict(each) for each in found], "missed": missed}, indent=1))
    else:
        print("\n".join([*_summary(found), *(f"NOT met: {each}" for each in missed), *([] if missed else ["all met"])]))
    return 1 if missed else 0


def network(name: str) -> tuple[onnx.ModelProto, np.ndarray]:
    """The network with random weights, as the harness exports it, and 256 inputs."""
    import torch

    from harness.entries.export import export_onnx
    from harness.models import build_model

    model, shape = NETWORKS[name]
    samples = np.random.default_rng(0).normal(size=(256, *shape)).astype(np.float32)
    return export_onnx(build_model(model, seed=0), torch.zeros(2, *shape)), samples


def measure(model: onnx.ModelProto, samples: np.ndarray, threads: int, company: str) -> Measured:
    """`model` against itself."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            of = CpuTarget(CpuOptions(intra_threads=threads)).measure(model, model, samples, "quick", Path(folder))
        except TargetError as error:
            return Measured(company, time.monotonic() - begin, str(error))
    seconds, ratio = time.monotonic() - begin, of.quantities.get("speedup_vs_dense")
    if ratio is None or ratio.low is None or ratio.high is None:
        return Measured(company, seconds, of.absent.get("speedup_vs_dense", "there is no interval"))
    load = of.conditions["load"]["other_processes_share_of_cores"]
    return Measured(company, seconds, None, ratio.value, ratio.low, ratio.high, load, of.noisy is not None)


@contextlib.contextmanager
def bursting_processes() -> Iterator[None]:
    """Two processes that come and go, and are gone afterwards."""
    processes = [subprocess.Popen([sys.executable, "-c", BURSTING]) for _ in range(2)]
    over = threading.Event()
    stopping = threading.Thread(target=_stop_and_continue, args=(processes, over))
    stopping.start()
    try:
        yield
    finally:
        over.set()
        stopping.join()
        for process in processes:
            process.kill()
            process.wait()


def _stop_and_continue(processes: list[subprocess.Popen[bytes]], over: threading.Event) -> None:
    stopped = dict.fromkeys((process.pid for process in processes), False)
    while not over.wait(random.expovariate(1 / STOP_S)):
        pid = random.choice(list(stopped))
        os.kill(pid, signal.SIGCONT if stopped[pid] else signal.SIGSTOP)
        stopped[pid] = not stopped[pid]


def requirements_missed(found: list[Measured], name: str) -> list[str]:
    """Which of the requirements above are not met, with the figures."""
    failed = [each for each in found if each.failed is not None]
    missed = [f"{each.company}: no ratio: {each.failed}" for each in failed]
    holding = sum(each.holds for each in found)
    if holding < COVERAGE * len(found):
        missed.append(f"{holding} of {len(found)} intervals hold 1.00, {COVERAGE:.0%} wanted")
    slow = [each.seconds for each in found if each.seconds > SECONDS]
    if slow:
        missed.append(f"{len(slow)} measurements took longer than {SECONDS:g} s, the longest {max(slow):.0f} s")
    for company, limit in WIDTHS.items() if name == "resnet20" else ():
        wide = [each.width for each in found if each.company == company and each.width > limit]
        if wide:
            missed.append(f"{len(wide)} {company} intervals are wider than ±{limit:.0%}, the widest ±{max(wide):.1%}")
    silent = sum(each.company == "busy" and each.failed is None and not each.noisy for each in found)
    if silent:
        missed.append(f"{silent} measurements in company are not marked as noisy")
    return missed


def _summary(found: list[Measured]) -> list[str]:
    lines = []
    for company in WIDTHS:
        of = [each for each in found if each.company == company and each.failed is None]
        if not of:
            continue
        widths, seconds, loads = (
            np.array([getattr(each, name) for each in of]) for name in ("width", "seconds", "other_load")
        )
        lines.append(
            f"{company}: {len(of)} measurements; {sum(each.holds for each in of)} intervals hold 1.00; "
            f"geometric mean of the ratios {np.exp(np.mean(np.log([each.ratio for each in of]))):.4f}; "
            f"width ±{np.median(widths):.2%} (median), ±{widths.max():.2%} (widest); "
            f"{np.median(seconds):.1f} s (median), {seconds.max():.1f} s (longest); "
            f"other processes {np.median(loads):.0%} of the cores"
        )
    return lines


def _line(number: int, of: Measured) -> str:
    if of.failed is not None:
        return f"{number:3} {of.company:5} {of.seconds:5.1f} s  {of.failed}"
    return (
        f"{number:3} {of.company:5} {of.seconds:5.1f} s  {of.ratio:.4f} ({of.low:.4f} … {of.high:.4f})"
        f"{'' if of.holds else '  does not hold 1.00'}  others {of.other_load:.0%}{'  noisy' if of.noisy else ''}"
    )


if __name__ == "__main__":
    sys.exit(main())
