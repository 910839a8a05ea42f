"""What MLPerf LoadGen and our session cost a query, against a bare ONNX Runtime loop.

    python tests/bench/bench_loadgen.py [--rounds 20] [--seconds 1] [--threads 1] [--json]

ResNet-20 with random weights, one sample a query. Each round times three ways in turns, in an
order that reverses from round to round:

- `bare`: `session.run(None, {input: sample})` in a loop;
- `bound`: the same loop through our session, whose inputs and outputs are bound beforehand;
- `loadgen`: our session, asked by LoadGen in SingleStream and answering in turns, all of them its own;
  the time is LoadGen's own median.

Requirement: LoadGen through our session takes no more than 10 µs or 5 % longer a query than the
bare loop, whichever is more. Exit status 1 if it is not met.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from hw_targets.cpu.runner import Runner
from hw_targets.cpu.settings import CpuOptions
from hw_targets.measuring.loadgen import run_single_stream
from hw_targets.measuring.turns import Turns

ALLOWED_US, ALLOWED_FRACTION = 10.0, 0.05


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each way in each round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    result = bench(arguments.rounds, arguments.seconds, arguments.threads)
    print(json.dumps(result, indent=1) if arguments.json else _table(result))
    return 0 if result["met"] else 1


def bench(rounds: int, seconds: float, threads: int) -> dict:
    """Medians of a query in µs by round, and how the ways compare."""
    samples = np.random.default_rng(0).normal(size=(32, 3, 32, 32)).astype(np.float32)
    runner = Runner(resnet20_onnx(), samples, CpuOptions(intra_threads=threads))
    feeds = [{runner.input: sample[None]} for sample in samples]
    pace = runner.warm_up(2.0)
    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Callable[[], float]] = {
            "bare": lambda: _loop(lambda i: runner.session.run(None, feeds[i % 32]), seconds),
            "bound": lambda: _loop(lambda i: runner.one(i % 32), seconds),
            "loadgen": lambda: _loadgen(runner, seconds, pace, Path(folder)),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds):
            for name in list(ways) if number % 2 == 0 else list(reversed(ways)):
                times[name].append(ways[name]())
    bare, loadgen = np.array(times["bare"]), np.array(times["loadgen"])
    difference = float(np.median(loadgen - bare))
    allowed = max(ALLOWED_US, ALLOWED_FRACTION * float(np.median(bare)))
    return {
        "median_us": {name: float(np.median(of)) for name, of in times.items()},
        "spread_us": {name: [float(min(of)), float(max(of))] for name, of in times.items()},
        "ratio": float(np.median(loadgen / bare)),
        "ratio_spread": [float((loadgen / bare).min()), float((loadgen / bare).max())],
        "difference_us": difference,
        "allowed_us": allowed,
        "met": difference <= allowed,
        "rounds": rounds,
        "threads": threads,
    }


def resnet20_onnx() -> bytes:
    """ResNet-20 with random weights, as the harness exports it."""
    import torch

    from harness.entries.export import export_onnx
    from harness.models import build_model

    return export_onnx(build_model("resnet20", seed=0), torch.zeros(2, 3, 32, 32)).SerializeToString()


def _loop(run: Callable[[int], object], seconds: float) -> float:
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter_ns()
        run(len(times))
        times.append(time.perf_counter_ns() - start)
    return float(np.median(times)) / 1e3


def _loadgen(runner: Runner, seconds: float, pace: float, folder: Path) -> float:
    turns = Turns(("model",), lambda _: runner, lambda _: pace, turn_s=0.01, segment_s=math.inf)
    run = run_single_stream(turns, 32, least_s=seconds, least_queries=64, expected_s=pace / 2, logs=folder / "loadgen")
    return run.loadgen["p50_ns"] / 1e3


def _table(result: dict) -> str:
    lines = [f"{'way':8} {'median µs':>10} {'least':>10} {'greatest':>10}   over {result['rounds']} rounds"]
    for name, median in result["median_us"].items():
        low, high = result["spread_us"][name]
        lines.append(f"{name:8} {median:10.1f} {low:10.1f} {high:10.1f}")
    low, high = result["ratio_spread"]
    lines.append(f"loadgen / bare: {result['ratio']:.4f} ({low:.4f} … {high:.4f})")
    verdict = "met" if result["met"] else "NOT met"
    lines.append(f"loadgen − bare: {result['difference_us']:+.1f} µs, allowed {result['allowed_us']:.1f} µs: {verdict}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
