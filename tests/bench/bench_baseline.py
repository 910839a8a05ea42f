"""Whether our dense networks are as fast as the field's own tools make them.

    python tests/bench/bench_baseline.py [--tasks NAME …] [--rounds 10] [--seconds 90] [--json]

For every task that runs here, with its reference's weights where they are on this machine, in ONNX
Runtime on one thread, in short turns: one sample at a time (latency), and 32 (throughput):

- `ours`: what the harness exports;
- `torch`: torch's default export of the same module;
- `extended`: the file that ONNX Runtime's extended optimisation makes of that;
- `8 bits`: ONNX Runtime's own quantiser on that, for the eye (static, for the transformer dynamic).

Requirement: ours takes at most 1.02 times as long as either float peer. Exit status 1 if it does not.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from peers import RUN_HERE, Network, default_export, extended, load_network, our_export, quantised
from turns import Times, take_turns

from hw_targets.measuring.processor import processor_name

ALLOWED_RATIO = 1.02
BATCHES = (1, 32)
PEERS = ("torch", "extended")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(RUN_HERE), choices=RUN_HERE, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=10, help="before all models are loaded anew")
    parser.add_argument("--seconds", type=float, default=90, help="at most, where the machine is noisy, for each line")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    results = []
    if not arguments.json:
        print(f"{processor_name()}, one thread; ms a sample, medians over rounds; ratios with their 95 % intervals")
        print(HEADER)
    for name in arguments.tasks:
        for result in bench(load_network(name), arguments.rounds, arguments.seconds):
            results.append(result)
            if not arguments.json:
                print(_line(result), flush=True)
    met = all(result["met"] for result in results)
    if arguments.json:
        print(json.dumps(results, indent=1))
    else:
        print(f"ours at most {ALLOWED_RATIO} of either float peer: {'met' if met else 'NOT met'}")
    return 0 if met else 1


def bench(network: Network, rounds: int, most_s: float) -> list[dict]:
    """Times of one network, for each size of batch."""
    torch_model = default_export(network)
    models = {
        "ours": our_export(network),
        "torch": torch_model,
        "extended": extended(torch_model),
        "8 bits": quantised(network, torch_model),
    }
    files = {name: model.SerializeToString() for name, model in models.items()}
    samples = network.samples.numpy()
    return [
        _result(network, batch, take_turns(files, samples[:batch], first="ours", rounds=rounds, most_s=most_s))
        for batch in BATCHES
    ]


def _result(network: Network, batch: int, times: Times) -> dict:
    ratios = {peer: times.ratio("ours", peer) for peer in PEERS}
    worst = max(ratios, key=lambda peer: ratios[peer][0])
    return {
        "task": network.task.name,
        "weights": network.weights,
        "batch": batch,
        "median_ms": {name: times.median_ms(name) for name in times.seconds},
        "better_peer": worst,
        "ratio": ratios[worst][0],
        "ratio_interval": ratios[worst][1:],
        "rounds": times.rounds,
        "met": ratios[worst][0] <= ALLOWED_RATIO,
    }


HEADER = f"{'task':24}{'weights':>11}{'batch':>6}{'ours':>9}{'torch':>9}{'extended':>9}{'8 bits':>9}   ours / better"


def _line(result: dict) -> str:
    low, high = result["ratio_interval"]
    times = "".join(f"{median:9.4f}" for median in result["median_ms"].values())
    return (
        f"{result['task']:24}{result['weights']:>11}{result['batch']:6}{times}   "
        f"{result['ratio']:.3f} ({low:.3f} … {high:.3f}) {result['better_peer']}{'' if result['met'] else ': TOO SLOW'}"
    )


if __name__ == "__main__":
    sys.exit(main())
