"""What choosing and removing costs, against torch.nn.utils.prune and Torch-Pruning.

    python tests/bench/bench_masks.py [--rounds 5] [--models imagenet_resnet50 bert_base] [--json]

Networks have random weights. Every way gets a fresh copy of the model; copying is not timed. Each
round times both sides in turns, in an order that reverses from round to round:

- `mask`: one magnitude threshold over all convolutions and linear layers, 90 % removed. Ours:
  `make_mask`. Theirs: `L1Unstructured.compute_mask` over all weights as one vector.
- `prune`: the same, applied. Ours: `make_mask` and `apply_`. Theirs: `global_unstructured`.
- `filters` (ResNet-50): half of the filters inside the bottlenecks taken out. Ours:
  `prunable_filters`, `make_mask`, `coupled`, `shrink(verify=False)`. Theirs: Torch-Pruning's
  `MagnitudePruner`, which is told the layers and does not run what it returns.
- `proven`: the same, but ours as it is used: `shrink` runs the masked and the smaller model and holds
  them against each other. Theirs does not; the ratio is what that costs, and nothing is required of it.

Peak memory is the growth of `ru_maxrss` in a process of its own for each way, over the model in
memory and a first run on a tiny layer.

Requirement for the others: ours takes no longer, and no more memory. Noise is how far a single time
of theirs lies from their median (the median of that, as a share); the median of the ratios by round may
exceed 1 by it.
Exit status 1 if it exceeds that, or the memory theirs.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

SPARSITY = 0.9
FILTER_SPARSITY = 0.5
MODELS = ("imagenet_resnet50", "bert_base")
UNJUDGED = "proven"
# torch is imported where it is used: a child's ru_maxrss starts at its parent's size.


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    parser.add_argument("--peak", nargs=3, metavar=("MODEL", "CASE", "SIDE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(peak_growth(*arguments.peak))
        return 0
    results = [peak_of(model, case) for model in arguments.models for case in ("mask", "prune")]
    results += [timed(model, case, arguments.rounds) for model in arguments.models for case in cases_of(model)]
    if arguments.json:
        print(json.dumps(results, indent=1))
    else:
        for result in results:
            print(line(result))
    return 0 if all(result["met"] for result in results) else 1


def line(result: dict[str, Any]) -> str:
    """One result as a sentence."""
    unit, (low, high) = result["unit"], result["ratio_spread"]
    verdict = "met" if result["met"] else "NOT met"
    allowed = f"allowed {result['allowed']:.3f}: {verdict}" if result["case"] != UNJUDGED else "no requirement"
    return (
        f"{result['model']:17s} {result['case']:7s} "
        f"ours {result['ours']:8.3f} {unit:3s} theirs {result['theirs']:8.3f} {unit:3s} "
        f"ratio {result['ratio']:.3f} ({low:.3f} … {high:.3f}), {allowed}"
    )


def cases_of(model: str) -> list[str]:
    return ["mask", "prune", "filters", UNJUDGED] if model == "imagenet_resnet50" else ["mask", "prune"]


def build(name: str) -> Any:
    """The network with random weights, in inference mode."""
    from harness.models import build_model

    return build_model(name, seed=0).eval()


def ways_of(case: str, model: Any) -> dict[str, Callable[[Any], Any]]:
    """Ours and theirs, as functions of a model that they may change."""
    import torch
    from torch.nn.utils import parameters_to_vector, prune

    from pruning.layers import weight_layers
    from pruning.masking import make_mask
    from pruning.ratios import Global

    def our_mask(model: Any) -> Any:
        return make_mask(model, criterion="magnitude", granularity="element", ratio=Global(SPARSITY))

    def their_mask(model: Any) -> Any:
        weights = [layer.weight.detach() for layer in weight_layers(model).values()]
        scores = parameters_to_vector(weights)
        mask = prune.L1Unstructured(SPARSITY).compute_mask(scores, default_mask=torch.ones_like(scores))
        parts = mask.split([weight.numel() for weight in weights])
        return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]

    def their_pruning(model: Any) -> None:
        weights = [(layer, "weight") for layer in weight_layers(model).values()]
        prune.global_unstructured(weights, pruning_method=prune.L1Unstructured, amount=SPARSITY)

    if case == "mask":
        return {"ours": our_mask, "theirs": their_mask}
    if case == "prune":
        return {"ours": lambda model: our_mask(model).apply_(model), "theirs": their_pruning}
    return filter_ways(model, verify=case == UNJUDGED)


def filter_ways(model: Any, *, verify: bool) -> dict[str, Callable[[Any], Any]]:
    """Taking out filters; both give the smaller model."""
    import torch
    import torch_pruning

    from pruning.granularity import Filter
    from pruning.layers import weight_layers
    from pruning.masking import make_mask
    from pruning.ratios import Uniform
    from pruning.shrinking import Trace, coupled, prunable_filters, shrink

    inputs = torch.randn(1, 3, 224, 224)
    inside = set(prunable_filters(model, inputs))

    def ours(model: Any) -> Any:
        trace = Trace(model, inputs)
        mask = make_mask(
            model,
            criterion="magnitude",
            granularity=Filter(),
            ratio=Uniform(FILTER_SPARSITY),
            layers=prunable_filters(model, trace),
        )
        return shrink(model, coupled(model, mask, trace), trace, verify=verify)

    def theirs(model: Any) -> Any:
        pruner = torch_pruning.pruner.MagnitudePruner(
            model,
            inputs,
            importance=torch_pruning.importance.MagnitudeImportance(p=1),
            pruning_ratio=FILTER_SPARSITY,
            ignored_layers=[layer for name, layer in weight_layers(model).items() if name not in inside],
        )
        pruner.step()
        return model

    return {"ours": ours, "theirs": theirs}


def check_alike(case: str, model: Any, ways: dict[str, Callable[[Any], Any]]) -> None:
    """One run of both, which also warms them up.

    Raises:
        SystemExit: the two sides do not remove the same.
    """
    import torch

    results = {side: way(copy.deepcopy(model)) for side, way in ways.items()}
    if case == "mask":
        pairs = list(zip(results["ours"].values(), results["theirs"], strict=True))
        alike = sum(int(a.sum()) - int(b.sum()) for a, b in pairs) == 0
        # Among equal magnitudes at the threshold the two may choose differently.
        alike = alike and sum(int((a != b.bool()).sum()) for a, b in pairs) <= 1e-6 * sum(a.numel() for a, _ in pairs)
    elif case in ("filters", UNJUDGED):
        shapes = [[tensor.shape for tensor in results[side].state_dict().values()] for side in ways]
        alike = shapes[0] == shapes[1]
    else:
        alike = isinstance(results["ours"], torch.nn.Module)
    if not alike:
        raise SystemExit(f"{case}: the two sides do not remove the same; their times cannot be compared.")


def timed(name: str, case: str, rounds: int) -> dict[str, Any]:
    """Median seconds of both sides, and their ratio by round."""
    model = build(name)
    ways = ways_of(case, model)
    check_alike(case, model, ways)
    times: dict[str, list[float]] = {side: [] for side in ways}
    for number in range(rounds):
        for side in list(ways) if number % 2 == 0 else list(reversed(ways)):
            fresh = copy.deepcopy(model)
            began = time.perf_counter()
            ways[side](fresh)
            times[side].append(time.perf_counter() - began)
            del fresh
    ours, theirs = np.array(times["ours"]), np.array(times["theirs"])
    noise = float(np.median(np.abs(theirs / np.median(theirs) - 1)))
    ratios = ours / theirs
    return {
        "model": name,
        "case": case,
        "unit": "s",
        "ours": float(np.median(ours)),
        "theirs": float(np.median(theirs)),
        "ratio": float(np.median(ratios)),
        "ratio_spread": [float(ratios.min()), float(ratios.max())],
        "allowed": 1 + noise,
        "met": case == UNJUDGED or float(np.median(ratios)) <= 1 + noise,
    }


def peak_of(model: str, case: str) -> dict[str, Any]:
    """Peak memory of both sides in MiB, each in a process of its own.

    Raises:
        SystemExit: a process failed; its error is on stderr.
    """
    peaks = {}
    for side in ("ours", "theirs"):
        command = [sys.executable, str(Path(__file__).resolve()), "--peak", model, case, side]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{model} {case} {side}: measuring its memory failed.")
        peaks[side] = int(done.stdout) / 2**20
    ratio = peaks["ours"] / peaks["theirs"]
    return {
        "model": model,
        "case": case,
        "unit": "MiB",
        **peaks,
        "ratio": ratio,
        "ratio_spread": [ratio, ratio],
        "allowed": 1.0,
        "met": ratio <= 1,
    }


def peak_growth(name: str, case: str, side: str) -> int:
    """Bytes by which this process's peak grows while one side runs once."""
    import torch

    model = build(name)
    way = ways_of(case, model)[side]
    way(torch.nn.Linear(8, 8))
    before = _peak_bytes()
    result = way(model)
    grown = _peak_bytes() - before
    del result
    return grown


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
