"""How fast EIE is simulated, and against a machine stepped cycle by cycle.

    python tests/bench/bench_eie.py [--rounds 7] [--all] [--only NAME …] [--json]

- `layers`: the recurrence over the paper's nine layers (Table III, random masks, 64 elements) after
  counting, in simulated cycles a second of all together. Required: 100 million.
- `convolution`: the same over the lowered convolutions of ResNet-20 with 70 % of the weights removed at
  random, on random images. Required: 40 million.
- `count`: entries of a mask of 4096 × 25088. Required: under 0.1 s.
- `vgg`: the three linear layers of VGG-16, coded, encoded and multiplied by one vector. Required: under 1 s.
- `batch`: 256 vectors of VGG-6 on the encoded layer, values included. Required: under 1 s.
- `networks`: ResNet-20 and the VGG, pruned so, 100 images through each, activations and cycles. Required:
  under 60 s.
- `judging`: the reference networks for CIFAR-10 judged on EIE's arithmetic (VGG, ResNet-20, MobileNetV2), over
  the same judged in floats, batch by batch in turns on the same cores, sessions ready; of the first 1,000 test
  images, or with `--all` of all 10,000. Required of VGG: at most 3 times as long. What fitting the codes takes
  before, once for a network, is printed beside it.
- `stepper`: the recurrence and the stepped machine of the tests on one small layer, in turns; their ratio.

Times are medians over rounds, with the least and the greatest. Exit status 1 if a requirement is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from eie_stepper import step_through  # noqa: E402

from hw_targets.eie import EieConfig, EieLayer  # noqa: E402
from hw_targets.eie.layout import lay_out  # noqa: E402
from hw_targets.eie.lowering import as_matrix, products  # noqa: E402
from hw_targets.eie.paper import LAYERS, random_layer  # noqa: E402
from hw_targets.eie.timing import run  # noqa: E402
from hw_targets.formats.interleaved import count_entries  # noqa: E402

CONFIG = EieConfig()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--all", action="store_true", help="judge all 10,000 test images, not 1,000")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the list above")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    arguments = parser.parse_args()
    benches = {each.__name__: each for each in (layers, convolution, count, vgg, batch, stepper, networks)}
    chosen = arguments.only or [*benches, "judging"]
    results = [bench(arguments.rounds) for name, bench in benches.items() if name in chosen]
    if "judging" in chosen:
        images = 10_000 if arguments.all else 1_000
        results += [judging(name, images) for name in ("cifar10_vgg", "cifar10_resnet20", "cifar10_mobilenetv2")]
    if arguments.json:
        print(json.dumps(results, indent=1))
    else:
        for result in results:
            verdict = {True: "met", False: "NOT met", None: "no requirement"}[result["met"]]
            low, high = result["spread"]
            print(f"{result['name']:28s} {result['value']:10.4g} ({low:.4g} … {high:.4g}) {result['unit']}: {verdict}")
    return 0 if all(result["met"] is not False for result in results) else 1


def layers(rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    work = [(lay_out(mask, CONFIG), active) for mask, active in (random_layer(name, rng) for name in LAYERS)]

    def simulate() -> int:
        return sum(int(run(layout, active, np.array([0, active.size]), CONFIG).cycles[0]) for layout, active in work)

    return _rate("layers", simulate, rounds, 100)


def convolution(rounds: int) -> dict[str, Any]:
    from hw_targets.graph.trace import trace

    model, images = _pruned("resnet20", 4)
    codes = {layer.name: layer.inputs for layer in trace(model, images)}
    work = []
    for layer in trace(model, images[:1]):
        if layer.kind == "conv":
            layout = lay_out(as_matrix(layer.weight != 0, layer.groups), CONFIG)
            work += [(layout, products(layer, codes[layer.name], sample)) for sample in range(len(images))]

    def simulate() -> int:
        return sum(int(run(layout, each.active, each.first, CONFIG).cycles.sum()) for layout, each in work)

    return _rate("convolution", simulate, rounds, 40)


def networks(rounds: int) -> dict[str, Any]:
    from hw_targets.eie.network import simulate_network
    from hw_targets.eie.session import EieSession

    work = [_pruned(name, 100) for name in ("resnet20", "vgg_cifar")]
    sessions = [EieSession(model, images, CONFIG) for model, images in work]

    def simulate() -> None:
        for (model, images), session in zip(work, sessions, strict=True):
            simulate_network(model, session, images)

    return _time("networks", simulate, max(rounds // 3, 1), 60.0)


def judging(name: str, images: int) -> dict[str, Any]:
    """Seconds on EIE's arithmetic over seconds in floats: the whole, and the spread over batches of 100."""
    from itertools import islice

    import torch
    from safetensors.torch import load_file

    from harness.data import load_dataset
    from harness.entries.export import export_onnx
    from harness.models import build_model
    from harness.run.evaluate import BATCH_SIZE, OrtSession
    from harness.tasks import load_task
    from hw_targets.eie.session import CALIBRATION_SAMPLES, EieSession

    task = load_task(name)
    data = load_dataset(task.dataset)
    model = build_model(task.model, seed=0)
    model.load_state_dict(load_file(ROOT / "harness" / "tasks" / "references" / f"{name}.safetensors"))
    validation = next(iter(data.loader("validation", batch_size=CALIBRATION_SAMPLES)))[0].contiguous()
    exported = export_onnx(model.eval(), validation[:2].to(torch.float32))
    began = time.perf_counter()
    sessions = {"eie": EieSession(exported, validation.numpy(), CONFIG), "floats": OrtSession(exported)}
    fitted = time.perf_counter() - began
    times: dict[str, list[float]] = {each: [] for each in sessions}
    loader = data.loader("test", batch_size=BATCH_SIZE)
    for number, (inputs, _) in enumerate(islice(loader, images // BATCH_SIZE)):
        batch = inputs.contiguous().numpy()
        for each in sorted(sessions, reverse=number % 2 == 1):
            if number == 0:
                sessions[each].run(batch)  # compiled, and in the caches
            times[each].append(_seconds(lambda each=each, batch=batch: sessions[each].run(batch)))
    ratios = [ours / floats for ours, floats in zip(times["eie"], times["floats"], strict=True)]
    whole = sum(times["eie"]) / sum(times["floats"])
    limit = 3.0 if name == "cifar10_vgg" else None
    unit = f"times as long as in floats ({images} images, fitted in {fitted:.1f} s)" + (", at most 3" if limit else "")
    return {
        "name": f"judging {name}",
        "value": whole,
        "spread": [min(ratios), max(ratios)],
        "unit": unit,
        "met": None if limit is None else whole <= limit,
    }


def count(rounds: int) -> dict[str, Any]:
    mask = np.random.default_rng(0).random((4096, 25088), dtype=np.float32) < 0.04
    return _time("count", lambda: count_entries(mask, 64), rounds, 0.1)


def vgg(rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    work = [_weight_and_vectors(name, 1, rng) for name in ("VGG-6", "VGG-7", "VGG-8")]
    return _time("vgg", lambda: [EieLayer(weight).multiply(vectors) for weight, vectors in work], rounds, 1.0)


def batch(rounds: int) -> dict[str, Any]:
    weight, vectors = _weight_and_vectors("VGG-6", 256, np.random.default_rng(0))
    layer = EieLayer(weight)
    return _time("batch", lambda: layer.multiply(vectors), rounds, 1.0)


def stepper(rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    weight = (rng.integers(1, 16, (256, 128)) * (rng.random((256, 128)) < 0.2)).astype(np.uint8)
    vector = rng.integers(1, 100, 128) * (rng.random(128) < 0.5)
    active = np.flatnonzero(vector).astype(np.int32)

    def recurrence() -> None:
        run(lay_out(weight, CONFIG), active, np.array([0, active.size]), CONFIG)

    recurrence()
    ratios = []
    for _ in range(rounds):
        ours = _seconds(recurrence)
        ratios.append(_seconds(lambda: step_through(weight, vector, CONFIG)) / ours)
    return _result("stepper", ratios, "times as fast as stepping", None)


def _pruned(name: str, images: int) -> tuple[onnx.ModelProto, np.ndarray]:
    """A network for CIFAR-10 with 70 % of each convolution's random weights removed, and random images."""
    import torch

    from harness.entries.export import export_onnx
    from harness.models import build_model

    model = build_model(name, seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data[torch.rand(parameter.shape, generator=generator) < 0.7 * (parameter.ndim == 4)] = 0
    inputs = np.random.default_rng(0).normal(size=(images, 3, 32, 32)).astype(np.float32)
    return export_onnx(model, torch.zeros(2, 3, 32, 32)), inputs


def _weight_and_vectors(name: str, vectors: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    layer = LAYERS[name]
    weight = rng.normal(size=(layer.rows, layer.columns)).astype(np.float32)
    weight[rng.random(weight.shape, dtype=np.float32) >= layer.weight_density] = 0
    values = rng.random((vectors, layer.columns))
    return weight, values * (rng.random(values.shape) < layer.activation_density)


def _rate(name: str, simulate: Callable[[], int], rounds: int, required: float) -> dict[str, Any]:
    cycles = simulate()
    rates = [cycles / _seconds(simulate) * 1e-6 for _ in range(rounds)]
    result = _result(name, rates, f"million cycles/s, at least {required:g}", None)
    return {**result, "met": result["value"] >= required}


def _time(name: str, work: Callable[[], object], rounds: int, limit: float) -> dict[str, Any]:
    work()
    result = _result(name, [_seconds(work) for _ in range(rounds)], f"s, at most {limit:g}", None)
    return {**result, "met": result["value"] <= limit}


def _result(name: str, values: list[float], unit: str, met: bool | None) -> dict[str, Any]:
    spread = [min(values), max(values)]
    return {"name": name, "value": statistics.median(values), "spread": spread, "unit": unit, "met": met}


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
