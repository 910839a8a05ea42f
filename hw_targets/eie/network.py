"""A whole network on EIE, sample by sample: every layer's products timed and paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from hw_targets.eie.config import EieConfig
from hw_targets.eie.energy import COMPONENTS, energy_pj
from hw_targets.eie.layout import Layout, lay_out, reload_bits
from hw_targets.eie.lowering import as_matrix, products
from hw_targets.eie.session import EieSession
from hw_targets.eie.timing import Activity, run
from hw_targets.trace import LayerTrace, trace

AT_ONCE = 16  # samples whose activations are held at the same time


@dataclass(frozen=True)
class LayerActivity:
    """One layer over all samples.

    Attributes:
        trace: of the first sample, for its shape and geometry.
        activity: sums over the layer's vectors, one number a sample.
        reload_bits: fetched from DRAM for each sample.
        energy_pj: by component, float64 `[samples]` each.
        work: cycles that each element multiplied, on average over the samples, float64 `[N]`.
    """

    trace: LayerTrace
    layout: Layout
    activity: Activity
    reload_bits: int
    energy_pj: dict[str, np.ndarray]
    work: np.ndarray


@dataclass(frozen=True)
class NetworkActivity:
    """A network over samples.

    Attributes:
        layers: those on the accelerator, in the graph's order.
        macs_share: of the network's multiplications, by shape, that ran on the accelerator.
        cycles: of each sample, reloads included, float64 `[samples]`.
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
        entries = sum(layer.layout.entries for layer in self.layers)
        return 1 - sum(layer.layout.nonzero for layer in self.layers) / entries if entries else 0.0

    @property
    def stalled_share(self) -> float:
        """Share of the cycles in which a full queue held a broadcast up."""
        stalled = sum(layer.activity.stalled.sum() for layer in self.layers)
        return float(stalled / sum(layer.activity.cycles.sum() for layer in self.layers))


def simulate_network(model: onnx.ModelProto, session: EieSession, samples: np.ndarray) -> NetworkActivity:
    """Put `samples` `[n, …]` through the network, layer by layer, on the activations that EIE computes.

    Raises:
        ValueError: the layers do not fit, and `config.overflow` is `refuse`.
    """
    traces = trace(model, samples[:1])
    on_chip = [each for each in traces if each.name in session.layers]
    config = session.config
    layouts = [lay_out(as_matrix(session.layers[each.name].coded.codes, each.groups), config) for each in on_chip]
    bits = reload_bits(layouts, [f"Layer {each.name}" for each in on_chip], config)
    found: dict[str, list[np.ndarray]] = {each.name: [] for each in on_chip}
    uses = {each.name: np.zeros(layout.columns) for each, layout in zip(on_chip, layouts, strict=True)}
    by_name = dict(zip(found, zip(on_chip, layouts, strict=True), strict=True))

    together = samples[:0]

    def watch(name: str, codes: np.ndarray) -> None:
        layer, layout = by_name[name]
        for sample in range(len(together)):
            vectors = products(layer, codes, sample, len(together))
            activity = run(layout, vectors.active, vectors.first, config)
            found[name].append(np.array([of.sum() for of in vars(activity).values()]))
            uses[name] += np.bincount(vectors.active, minlength=layout.columns)

    for begin in range(0, len(samples), AT_ONCE):
        together = samples[begin : begin + AT_ONCE]
        session.run(together, watch)
    layers = []
    for layer, layout, of_layer in zip(on_chip, layouts, bits, strict=True):
        activity = Activity(*np.array(found[layer.name]).T)
        work = sum(uses[layer.name] @ batch.entries for batch in layout.batches) / len(samples)
        energy = energy_pj(activity, config, of_layer)
        layers.append(LayerActivity(layer, layout, activity, of_layer, energy, np.asarray(work)))
    reload_cycles = sum(bits) / 8 / config.dram_bytes_per_cycle
    return NetworkActivity(
        config,
        tuple(layers),
        _share(traces, set(found)),
        np.sum([layer.activity.cycles for layer in layers], axis=0) + reload_cycles,
    )


def _share(traces: Sequence[LayerTrace], on_chip: set[str]) -> float:
    macs = {each.name: each.macs_dense for each in traces}
    return sum(of for name, of in macs.items() if name in on_chip) / max(sum(macs.values()), 1)
