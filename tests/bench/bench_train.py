"""What the training loop costs, against a bare loop of PyTorch.

    python tests/bench/bench_train.py [--rounds 5] [--batches 30] [--json]

ResNet-20 on the training images of CIFAR-10, batches of 128, bfloat16 autocast, all cores. Each
round times as many batches of both in turns, in an order that reverses from round to round:

- `bare`: batches that lie in memory, augmented and normalised; forward, cross-entropy, backward,
  SGD with Nesterov momentum; weights channels last;
- `harness`: `Trainer`, fed by the data set's own loader, which augments a whole epoch at its start.
  A chunk is charged its share of that.

Requirement: the harness takes at most 1.15 times as long. Exit status 1 if it does not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[2]))

from harness.data import load_dataset
from harness.data.dataset import Loader
from harness.models import build_model
from harness.tasks.recipe import Recipe
from harness.training.loop import Trainer

ALLOWED_RATIO = 1.15
RECIPE = Recipe(epochs=100)


class Chunks:
    """A loader that gives `batches` of `whole` at a time, and notes the time spent in it.

    Passes after the first go on where the last one ended, so that one augmentation serves them all.
    """

    def __init__(self, whole: Loader, batches: int) -> None:
        self.whole, self.batches, self.epoch = whole, batches, 0
        self.stream, self.spent_s = iter(whole), 0.0
        began = time.perf_counter()
        self.next = next(self.stream)
        self.start_s = time.perf_counter() - began  # the epoch's augmentation, and one batch

    def __len__(self) -> int:
        return self.batches

    @property
    def sample_count(self) -> int:
        return self.batches * RECIPE.batch_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(self.batches):
            yield self.next
            began = time.perf_counter()
            self.next = next(self.stream)
            self.spent_s += time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=30, help="of each loop in a round")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    arguments = parser.parse_args()
    result = bench(arguments.rounds, arguments.batches)
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        low, high = result["ratio_spread"]
        print(
            f"bare {result['bare_ms']:.1f} ms a batch, harness {result['harness_ms']:.1f} ms "
            f"(medians of {arguments.rounds}), of which its loader {100 * result['loader_share']:.1f} %"
        )
        verdict = "met" if result["met"] else "NOT met"
        print(f"harness / bare: {result['ratio']:.3f} ({low:.3f} … {high:.3f}), allowed {ALLOWED_RATIO}: {verdict}")
    return 0 if result["met"] else 1


def bench(rounds: int, batches: int) -> dict:
    """Medians in ms a batch, the ratio by round, and the loader's share of the harness's time.

    Raises:
        SystemExit: an epoch has not that many batches.
    """
    whole = load_dataset("cifar10").loader("train", batch_size=RECIPE.batch_size, recipe=RECIPE)
    if (rounds + 1) * batches >= len(whole):
        raise SystemExit(f"rounds × batches must stay under {len(whole) - batches}, the batches of an epoch")
    ready = [batch for _, batch in zip(range(batches), whole, strict=False)]
    chunks = Chunks(whole, batches)
    ways = {"bare": BareLoop(ready).run, "harness": Trainer(build_model("resnet20", seed=0), chunks, RECIPE).run_epoch}
    for way in ways.values():
        way()
    chunks.spent_s = 0.0
    share_s = chunks.start_s * batches / len(whole)
    times: dict[str, list[float]] = {"bare": [], "harness": []}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else list(reversed(ways)):
            began = time.perf_counter()
            ways[name]()
            times[name].append(time.perf_counter() - began + (share_s if name == "harness" else 0.0))
    ratios = np.array(times["harness"]) / np.array(times["bare"])
    return {
        "bare_ms": 1e3 * float(np.median(times["bare"])) / batches,
        "harness_ms": 1e3 * float(np.median(times["harness"])) / batches,
        "loader_share": (chunks.spent_s + rounds * share_s) / sum(times["harness"]),
        "ratio": float(np.median(ratios)),
        "ratio_spread": [float(ratios.min()), float(ratios.max())],
        "met": float(np.median(ratios)) <= ALLOWED_RATIO,
    }


class BareLoop:
    """The same training as anyone would write it down."""

    def __init__(self, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.batches = [(inputs.to(self.device), labels.to(self.device)) for inputs, labels in batches]
        self.model = build_model("resnet20", seed=0).to(self.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=RECIPE.learning_rate,
            momentum=RECIPE.momentum,
            nesterov=True,
            weight_decay=RECIPE.weight_decay,
            foreach=True,
        )

    def run(self) -> float:
        self.model.train()
        total = torch.zeros((), device=self.device)
        for inputs, labels in self.batches:
            with torch.autocast(self.device.type, torch.bfloat16):
                logits = self.model(inputs)
            loss = F.cross_entropy(logits.float(), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return float(total) / len(self.batches)


if __name__ == "__main__":
    sys.exit(main())
