"""What judging costs, against a bare ONNX Runtime batch loop.

    python tests/bench/bench_evaluate.py [--rounds 7] [--json]

ResNet-20 with random weights on the 10,000 test images of CIFAR-10, in batches of 100, all cores.
Each round times both in turns, in an order that reverses from round to round:

- `bare`: normalised float32 batches that lie in memory already, `session.run`, argmax, compare;
- `harness`: `correct_answers`, which starts from uint8 pixels and checks every output.

Requirement: the harness takes at most 1.3 times as long. Exit status 1 if it does not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from harness.data import load_dataset
from harness.entries.export import export_onnx
from harness.models import build_model
from harness.run.evaluate import BATCH_SIZE, OrtSession, correct_answers

ALLOWED_RATIO = 1.3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a line")
    arguments = parser.parse_args()
    result = bench(arguments.rounds)
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        low, high = result["ratio_spread"]
        print(f"bare {result['bare_s']:.2f} s, harness {result['harness_s']:.2f} s (medians of {arguments.rounds})")
        verdict = "met" if result["met"] else "NOT met"
        print(f"harness / bare: {result['ratio']:.3f} ({low:.3f} … {high:.3f}), allowed {ALLOWED_RATIO}: {verdict}")
    return 0 if result["met"] else 1


def bench(rounds: int) -> dict:
    """Medians in s, and the ratio by round."""
    data = load_dataset("cifar10")
    loader = data.loader("test", batch_size=BATCH_SIZE)
    batches = [(inputs.contiguous().numpy(), labels.numpy()) for inputs, labels in loader]
    session = OrtSession(export_onnx(build_model("resnet20", seed=0), torch.from_numpy(batches[0][0])))

    def bare() -> np.ndarray:
        return np.concatenate([session.run(inputs).argmax(1) == labels for inputs, labels in batches])

    def harness() -> np.ndarray:
        return correct_answers(session, loader, classes=10, label="Judging")

    assert (bare() == harness()).all()
    times: dict[str, list[float]] = {"bare": [], "harness": []}
    ways: dict[str, Callable[[], np.ndarray]] = {"bare": bare, "harness": harness}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else list(reversed(ways)):
            began = time.perf_counter()
            ways[name]()
            times[name].append(time.perf_counter() - began)
    ratios = np.array(times["harness"]) / np.array(times["bare"])
    return {
        "bare_s": float(np.median(times["bare"])),
        "harness_s": float(np.median(times["harness"])),
        "ratio": float(np.median(ratios)),
        "ratio_spread": [float(ratios.min()), float(ratios.max())],
        "met": float(np.median(ratios)) <= ALLOWED_RATIO,
    }


if __name__ == "__main__":
    sys.exit(main())
