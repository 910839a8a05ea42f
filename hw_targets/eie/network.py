"""A whole network on EIE, sample by sample: every layer's products timed and paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx

from hw_targets.eie.config import EieConfig
from hw_targets.eie.energy import COMPONENTS, energy_pj
from hw_targets.eie.layout import Layout
from hw_targets.eie.lowering import products
from hw_targets.eie.session import EieSession
from hw_targets.eie.timing import Activity, run
from hw_targets.graph.trace import LayerTrace, trace

AT_ONCE = 16  # samples whose activations are held at the same time


@dataclass(frozen=True)
class LayerActivity:
    """One layer over all samples.

    Attributes:
        trace: of the first sample, for its shape and geometry.
        activity: sums over the layer's vectors, one number a sample.
        dram_bits: that come from DRAM or go there for each sample: weights, and activations.
        repeated: its weight is another layer's, which holds it already.
        energy_pj: by component, float64 `[samples]` each.
        work: cycles that each element multiplied, on average over the samples, float64 `[N]`.
    """

    trace: LayerTrace
    layout: Layout
    activity: Activity
    dram_bits: int
    repeated: bool
    energy_pj: dict[str, np.ndarray]
    work: np.ndarray


@dataclass(frozen=True)
class NetworkActivity:
    """A network over samples.

    Attributes:
        layers: those on the accelerator, in the graph's order.
        macs_share: of the network's multiplications, by shape, that ran on the accelerator.
        cycles: of each sample, what waits for DRAM included, float64 `[samples]`.
    """

    config: EieConfig
    layers: tuple[LayerActivity, ...]
    macs_share: float
    cycles: np.ndarray

    @property
    def time_s(self) -> np.ndarray:
        """Of each sample, without the host's share."""
        return self.cycles / self.config.clock_hz

    @property
    def energy_pj(self) -> dict[str, np.ndarray]:
        """Of each sample, by component."""
        return {name: np.sum([layer.energy_pj[name] for layer in self.layers], axis=0) for name in COMPONENTS}

    @property
    def load_balance_efficiency(self) -> float:
        """Cycles of a perfect balance over cycles, without reloads."""
        entries = sum(layer.activity.entries.sum() for layer in self.layers)
        return float(entries / self.config.pe_count / sum(layer.activity.cycles.sum() for layer in self.layers))

    @property
    def padding_fraction(self) -> float:
        """Share of the stored entries that only bridge a long run of zeros."""
        stored = [layer.layout for layer in self.layers if not layer.repeated]
        entries = sum(layout.entries for layout in stored)
        return 1 - sum(layout.nonzero for layout in stored) / entries if entries else 0.0

    @property
    def weights_bits(self) -> int:
        """Codes, relative indexes and pointers of all layers."""
        return sum(layer.layout.bits(self.config) for layer in self.layers if not layer.repeated)

    @property
    def stalled_share(self) -> float:
        """Share of the cycles in which a full queue held a broadcast up."""
        stalled = sum(layer.activity.stalled.sum() for layer in self.layers)
        return float(stalled / sum(layer.activity.cycles.sum() for layer in self.layers))


def simulate_network(model: onnx.ModelProto, session: EieSession, samples: np.ndarray) -> NetworkActivity:
    """Put `samples` `[n, …]` through the network, layer by layer, on the activations that EIE computes.

    Raises:
        ValueError: no layer multiplies by weights.
    """
    traces = trace(model, samples[:1])
    on_chip = [each for each in traces if each.name in session.layers]
    if not on_chip:
        raise ValueError("No layer of the model multiplies by weights, so there is nothing for EIE to do.")
    config, layouts = session.config, session.layouts
    found: dict[str, list[np.ndarray]] = {each.name: [] for each in on_chip}
    uses = {each.name: np.zeros(layouts[each.name].columns) for each in on_chip}
    by_name = {each.name: each for each in on_chip}
    together = samples[:0]

    def watch(name: str, codes: np.ndarray) -> None:
        for sample in range(len(together)):
            vectors = products(by_name[name], codes, sample)
            activity = run(layouts[name], vectors.active, vectors.first, config)
            found[name].append(np.array([of.sum() for of in vars(activity).values()]))
            uses[name] += np.bincount(vectors.active, minlength=layouts[name].columns)

    for begin in range(0, len(samples), AT_ONCE):
        together = samples[begin : begin + AT_ONCE]
        session.run(together, watch)
    layers = []
    for each in on_chip:
        activity = Activity(*np.array(found[each.name]).T)
        work = sum(uses[each.name] @ batch.entries for batch in layouts[each.name].batches) / len(samples)
        dram_bits = session.reload_bits[each.name] + _activation_bits(each, config)
        energy = energy_pj(activity, config, dram_bits)
        repeated = each.name in session.repeated
        layers.append(LayerActivity(each, layouts[each.name], activity, dram_bits, repeated, energy, np.asarray(work)))
    waiting = sum(layer.dram_bits for layer in layers) / 8 / config.dram_bytes_per_cycle
    cycles = np.sum([layer.activity.cycles for layer in layers], axis=0) + waiting
    return NetworkActivity(config, tuple(layers), _share(traces, set(found)), cycles)


def _activation_bits(layer: LayerTrace, config: EieConfig) -> int:
    """A layer's inputs and outputs for one sample, if the activation memories do not hold both; else 0."""
    numbers = layer.inputs.size + prod(layer.output_shape)
    bits = numbers * config.value_bits
    return bits if bits > config.activation_sram_bytes * 8 * config.pe_count else 0


def _share(traces: Sequence[LayerTrace], on_chip: set[str]) -> float:
    macs = {each.name: each.macs_dense for each in traces}
    return sum(of for name, of in macs.items() if name in on_chip) / max(sum(macs.values()), 1)
