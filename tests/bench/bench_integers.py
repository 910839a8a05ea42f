"""Whether 8-bit networks are as much faster than floats here as the field's own quantiser makes them.

    python tests/bench/bench_integers.py [--tasks NAME …] [--rounds 10] [--seconds 90] [--no-accuracy] [--json]

For every task with a requirement, with its reference's weights where they are on this machine, in
ONNX Runtime on one thread, in short turns: one sample at a time (SingleStream), and 32 (Offline):

- `8 bits`: as the harness exports them, `static` by `pruning.quantise.to_int8`, calibrated on training
  samples, or `dynamic` by `to_dynamic_int8`, which is tried for the transformer too;
- `floats`: our dense export;
- `runtime`: ONNX Runtime's own quantiser on torch's default export (static, for the transformer dynamic).

Requirement: 8 bits are as many times faster than floats as the task's entry in `LEAST_SPEEDUP`, at least
0.95 as fast as the runtime's own, and, on the full test set, no more than 0.1 points less accurate
than that (where the reference is here); a transformer in one of the two ways. Exit status 1 if not. A
processor without integer dot products (VNNI) is slower in 8 bits; the first line says which this is.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import onnx
from peers import Network, default_export, integer_instructions, load_network, our_export, quantised
from turns import Times, take_turns

from harness.data import load_dataset
from harness.entries.export import export_onnx
from harness.run.evaluate import BATCH_SIZE, OrtSession, correct_answers
from hw_targets.measuring.processor import processor_name
from pruning.quantise import to_dynamic_int8, to_int8

LEAST_SPEEDUP = {
    "cifar10_resnet20": 2.0,
    "cifar10_vgg": 3.5,
    "cifar10_mobilenetv2": 1.5,
    "rotten_tomatoes_minilm": 2.0,
}
LEAST_OF_RUNTIME = 0.95
MOST_POINTS_LOST = 0.1
BATCHES = (1, 32)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = list(LEAST_SPEEDUP)
    parser.add_argument("--tasks", nargs="+", default=tasks, choices=tasks, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=10, help="before all models are loaded anew")
    parser.add_argument("--seconds", type=float, default=90, help="at most, where the machine is noisy, for each line")
    parser.add_argument("--no-accuracy", action="store_true", help="times alone")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    results = []
    if not arguments.json:
        print(f"{processor_name()}, {integer_instructions()}, one thread; ms a sample, medians over rounds")
        print(HEADER)
    for name in arguments.tasks:
        network = load_network(name)
        for way in ("static", "dynamic") if network.transformer else ("static",):
            models = versions(network, way)
            accuracy = {} if arguments.no_accuracy or network.weights != "reference" else accuracies(network, models)
            for result in bench(network, models, accuracy, arguments.rounds, arguments.seconds):
                results.append({"way": way, **result})
                if not arguments.json:
                    print(_line(results[-1]), flush=True)
    met = all(_some_way_meets(results, name) for name in arguments.tasks)
    print(json.dumps(results, indent=1) if arguments.json else f"all requirements: {'met' if met else 'NOT met'}")
    return 0 if met else 1


def _some_way_meets(results: list[dict], task: str) -> bool:
    own = [result for result in results if result["task"] == task]
    return any(all(result["met"] for result in own if result["way"] == way) for way in {each["way"] for each in own})


def versions(network: Network, way: str) -> dict[str, onnx.ModelProto]:
    """The network in our 8 bits, in floats, and in ONNX Runtime's 8 bits."""
    if way == "static":
        small = to_int8(network.module, data=[(inputs, None) for inputs in network.samples.split(32)])
    else:
        small = to_dynamic_int8(network.module)
    return {
        "8 bits": export_onnx(small, network.samples[:2]),
        "floats": our_export(network),
        "runtime": quantised(network, default_export(network)),
    }


def accuracies(network: Network, models: dict[str, onnx.ModelProto]) -> dict[str, float]:
    """On the full test set, in per cent."""
    data = load_dataset(network.task.dataset)
    found = {}
    for name, model in models.items():
        test = data.loader("test", batch_size=BATCH_SIZE)
        right = correct_answers(OrtSession(model), test, classes=network.task.input.classes, label=f"Judging {name}")
        found[name] = 100 * float(right.mean())
    return found


def bench(
    network: Network, models: dict[str, onnx.ModelProto], accuracy: dict[str, float], rounds: int, most_s: float
) -> list[dict]:
    """Times of one network, for each size of batch."""
    files = {name: model.SerializeToString() for name, model in models.items()}
    samples = network.samples.numpy()
    return [
        _result(
            network,
            batch,
            accuracy,
            take_turns(files, samples[:batch], first="8 bits", rounds=rounds, most_s=most_s),
        )
        for batch in BATCHES
    ]


def _result(network: Network, batch: int, accuracy: dict[str, float], times: Times) -> dict:
    speedup, runtime = times.ratio("floats", "8 bits"), times.ratio("runtime", "8 bits")
    lost = accuracy["runtime"] - accuracy["8 bits"] if accuracy else 0.0
    least = LEAST_SPEEDUP[network.task.name]
    return {
        "task": network.task.name,
        "weights": network.weights,
        "batch": batch,
        "median_ms": {name: times.median_ms(name) for name in times.seconds},
        "speedup": speedup[0],
        "speedup_interval": speedup[1:],
        "least_speedup": least,
        "of_runtime": runtime[0],
        "of_runtime_interval": runtime[1:],
        "accuracy_percent": accuracy,
        "rounds": times.rounds,
        "met": speedup[0] >= least and runtime[0] >= LEAST_OF_RUNTIME and lost <= MOST_POINTS_LOST,
    }


HEADER = (
    f"{'task':24}{'way':8}{'weights':>10}{'batch':>6}{'8 bits':>9}{'floats':>9}{'runtime':>9}"
    f"   {'faster than floats':30}{'speed / runtime':25}accuracy: 8 bits, floats, runtime"
)


def _line(result: dict) -> str:
    times = "".join(f"{median:9.3f}" for median in result["median_ms"].values())
    low, high = result["speedup_interval"]
    faster = f"{result['speedup']:.2f} ({low:.2f} … {high:.2f}), least {result['least_speedup']}"
    low, high = result["of_runtime_interval"]
    of_runtime = f"{result['of_runtime']:.2f} ({low:.2f} … {high:.2f})"
    accuracy = ", ".join(f"{each:.2f}" for each in result["accuracy_percent"].values()) or "not judged"
    verdict = "" if result["met"] else ": NOT met"
    return (
        f"{result['task']:24}{result['way']:8}{result['weights']:>10}{result['batch']:6}{times}"
        f"   {faster:30}{of_runtime:25}{accuracy}{verdict}"
    )


if __name__ == "__main__":
    sys.exit(main())
