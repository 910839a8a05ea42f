"""How well does the EIE simulator reproduce the paper (Han et al. 2016, arXiv 1602.01528)?

Tables II, IV and V, and the questions of figures 8, 11 and 12: load balance against queue depth, speed
and padding against the number of elements; on random masks at Table III's densities. The trained
networks' masks are not published. Real ones are less balanced than random ones, as the first layer of
this benchmark's LeNet-300-100 shows; masks pruned to equal shares for each element (ESE: Han et al.
2017, arXiv 1612.00694) are better balanced in sum, if not in each column.

Nothing is fitted to a row. Energies per event come from Table II at the mean activity over the nine
layers, so that the mean of Table II is met by construction, and the power of a layer whose activity is
near that mean cannot be far off: Table V's power tests the spread of activities, not the level.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hw_targets.eie.config import EieConfig
from hw_targets.eie.energy import MODULES, area_mm2, energy_pj
from hw_targets.eie.layout import lay_out
from hw_targets.eie.paper import LAYERS, TABLE_2_MW, TABLE_5, TABLE_5_256, TABLE_5_LAYER, TEXT_256_OVER_64, random_layer
from hw_targets.eie.timing import run

DEPTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ELEMENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WITHIN = 0.08  # of Table IV's actual times: what random masks are expected to reach
TRAINED, SHUFFLED = "LeNet fc1, trained", "LeNet fc1, shuffled"
TRAINED_DENSITY = 0.08  # of LeNet-300-100's first layer after pruning (Han et al. 2015, Table 3)
FEW = 4  # elements, with 75 of LeNet's 300 rows each
BALANCED = "LeNet fc1, balanced"
Cell = dict[str, Any]
Layer = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]  # (rng, elements) → mask, active columns


def cells(seeds: Sequence[int]) -> Iterator[tuple[Layer, Cell]]:
    """Every layer at the paper's settings, then over queue depths and over numbers of elements."""
    for seed in seeds:
        for name, layer in layers().items():
            for depth in DEPTHS:
                yield layer, {"layer": name, "seed": seed, "fifo_depth": depth, "pe_count": 64}
            for elements in ELEMENTS:
                if elements != 64:
                    yield layer, {"layer": name, "seed": seed, "fifo_depth": 8, "pe_count": elements}


def layers() -> Mapping[str, Layer]:
    """The paper's nine, and three that show what balance does."""
    found: dict[str, Layer] = {
        name: lambda rng, elements, name=name: random_layer(name, rng)  # type: ignore[misc]
        for name in LAYERS
    }
    return {**found, TRAINED: _trained, BALANCED: _balanced, SHUFFLED: _shuffled}


def machine(cell: Cell) -> EieConfig:
    """The machine of a cell. Fewer elements get more registers each, so that as many activations fit in all."""
    registers = max(EieConfig.registers, EieConfig.registers * EieConfig.pe_count // cell["pe_count"])
    return EieConfig(fifo_depth=cell["fifo_depth"], pe_count=cell["pe_count"], registers=registers)


def measure(mask: np.ndarray, active: np.ndarray, config: EieConfig) -> dict[str, float]:
    """One vector through one layer."""
    layout = lay_out(mask, config)
    activity = run(layout, active, np.array([0, active.size]), config)
    energy = energy_pj(activity, config)
    cycles, theoretical = float(activity.cycles[0]), float(activity.entries[0]) / config.pe_count
    return {
        "cycles": cycles,
        "theoretical_cycles": theoretical,
        "load_balance_efficiency": round(theoretical / cycles, 6),
        "padding_fraction": round(layout.padding_fraction, 6),
        "stalled_cycles": float(activity.stalled[0]),
        **{f"energy_{name}_pj": round(float(of[0]), 3) for name, of in energy.items()},
    }


def _trained(rng: np.random.Generator, elements: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest 8 % of the trained first layer, with every input active."""
    size = _trained_size()
    return size >= np.quantile(size, 1 - TRAINED_DENSITY), np.arange(size.shape[1], dtype=np.int32)


def _balanced(rng: np.random.Generator, elements: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest 8 % of each element's rows."""
    import torch

    from pruning import LoadBalanced

    size = _trained_size()
    mask = LoadBalanced(1 - TRAINED_DENSITY, elements).best(torch.from_numpy(size), 1.0).numpy()
    return mask, np.arange(size.shape[1], dtype=np.int32)


def _trained_size() -> np.ndarray:
    """Absolute weights of LeNet-300-100's first layer, `[300, 784]`."""
    from harness.references.load import reference_module
    from harness.run.reference import reference_file
    from harness.tasks import load_task

    task = load_task("mnist_lenet300")
    state = reference_module(task, reference_file(task).path).state_dict()
    return next(iter(state.values())).abs().numpy()


def _shuffled(rng: np.random.Generator, elements: int) -> tuple[np.ndarray, np.ndarray]:
    """The same weights, each in a random place."""
    mask, active = _trained(rng, elements)
    return rng.permuted(mask.reshape(-1)).reshape(mask.shape), active


class Found:
    """Rows of the study, and means over seeds."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = rows

    def mean(self, number: str, layer: str, *, fifo_depth: int = 8, pe_count: int = 64) -> float:
        """`numbers[number]` of a layer on a machine."""
        wanted = {"layer": layer, "fifo_depth": fifo_depth, "pe_count": pe_count}
        return statistics.fmean(row["numbers"][number] for row in self.rows if wanted.items() <= row["cell"].items())

    def power_mw(self, component: str, layer: str) -> float:
        """Of one element, while it works on a layer."""
        seconds = self.mean("cycles", layer) / EieConfig().clock_hz
        return self.mean(f"energy_{component}_pj", layer) * 1e-9 / seconds / 64


def table_2(found: Found) -> list[tuple[str, float, float]]:
    """`(component, published, ours)`: mW of one element, mean over the nine layers; modules include the clock."""
    clock = statistics.fmean(found.power_mw("clock", name) for name in LAYERS)
    share = clock / TABLE_2_MW["total"]
    rows = []
    for module in MODULES:
        own = statistics.fmean(found.power_mw(module, name) for name in LAYERS)
        rows.append((module, TABLE_2_MW[module], own + share * TABLE_2_MW[module]))
    return [*rows, ("total", TABLE_2_MW["total"], sum(ours for _, _, ours in rows))]


def table_4(found: Found) -> list[tuple[str, float, float, float, float]]:
    """`(layer, published theoretical, ours, published actual, ours)`, in µs, on 64 elements."""
    rows = []
    for name, layer in LAYERS.items():
        theoretical, actual = (found.mean(number, name) / 800 for number in ("theoretical_cycles", "cycles"))
        rows.append((name, layer.theoretical_us, theoretical, layer.actual_us, actual))
    return rows


def table_5(found: Found) -> list[tuple[str, float, float]]:
    """`(quantity, published, ours)` on AlexNet's seventh layer; area is Table II's own, not a prediction."""
    seconds = found.mean("cycles", TABLE_5_LAYER) / EieConfig().clock_hz
    names = [name for name in found.rows[0]["numbers"] if name.startswith("energy_")]
    joules = sum(found.mean(name, TABLE_5_LAYER) for name in names) * 1e-12
    ours = {
        "power_w": joules / seconds,
        "frames_per_s": 1 / seconds,
        "frames_per_j": 1 / joules,
        "area_mm2": sum(area_mm2(EieConfig()).values()),
    }
    projected = TABLE_5_256["clock_hz"] / found.mean("cycles", TABLE_5_LAYER, pe_count=int(TABLE_5_256["pe_count"]))
    last = ("frames_per_s, 256 elements at 1.2 GHz", TABLE_5_256["frames_per_s"], projected)
    return [*((name, published, ours[name]) for name, published in TABLE_5.items()), last]


def findings(found: Found) -> list[str]:
    """Sentences computed from the numbers."""
    sentences = []
    for name, published_work, work, published, ours in table_4(found):
        error = ours / published - 1
        balance, own = published / published_work, ours / work
        said = f"{name}: {ours:.2f} µs against {published} µs ({error:+.1%})"
        if abs(error) > WITHIN:
            said += (
                f", further off than {WITHIN:.0%}: the work at Table III's rounded density differs by "
                f"{work / published_work - 1:+.1%}, and the imbalance is {own:.2f} where theirs is {balance:.2f}"
            )
        sentences.append(said + ".")
    for name, published, ours in table_5(found):
        sentences.append(f"{name}: {ours:,.4g} against {published:,.4g} ({ours / published - 1:+.1%}).")
    for name in ("NT-We", TABLE_5_LAYER, TRAINED, BALANCED, SHUFFLED):
        one, eight, many = (
            found.mean("load_balance_efficiency", name, fifo_depth=depth) for depth in (1, 8, DEPTHS[-1])
        )
        busy = f"{one:.0%} of the time with queues of 1, {eight:.0%} with 8, {many:.0%} with {DEPTHS[-1]}"
        sentences.append(f"{name}: elements are busy {busy}.")
    trained, balanced, shuffled = (
        found.mean("load_balance_efficiency", name, pe_count=FEW) for name in (TRAINED, BALANCED, SHUFFLED)
    )
    sentences.append(
        f"{FEW} elements, so that each has many rows: trained weights keep them busy {trained:.0%} of the time, "
        f"balanced ones {balanced:.0%}, shuffled ones {shuffled:.0%}."
    )
    cycles = {count: found.mean("cycles", TABLE_5_LAYER, pe_count=count) for count in (1, 64, 256)}
    sentences.append(
        f"{TABLE_5_LAYER}: 64 elements are {cycles[1] / cycles[64]:.1f} times as fast as one, and 256 "
        f"{cycles[64] / cycles[256]:.2f} times as fast as 64 (the paper's text: {TEXT_256_OVER_64})."
    )
    return sentences
