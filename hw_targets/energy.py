"""Energy of one inference: measured by the processor's own counters, or else modelled from counts.

The model is Horowitz's (ISSCC 2014) as EIE uses it: operations and memory words, each at the price
of a cited table. A runtime for dense matrices multiplies zeros too, so that it pays for all
multiplications of the graph as it is, and fetches all weights of the file from DRAM.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

from hw_targets.graph.trace import LayerTrace
from hw_targets.target import Quantity
from hw_targets.technology import Technology


def modelled_energy(layers: Sequence[LayerTrace], weights_bytes: int, technology: Technology, reason: str) -> Quantity:
    """Energy of one inference on a machine that knows no sparsity, in pJ.

    macs · (float multiply + float add) + weight words · DRAM + activation words · SRAM, where each
    layer reads its input and writes its output once, at 32 bits an element.

    Args:
        weights_bytes: as stored in the file.
        reason: why the energy was not measured; goes into the source.
    """
    price = technology.energy_pj
    macs = sum(layer.macs_dense for layer in layers)
    activations = sum(_activation_elements(layer) for layer in layers)
    words = 8 / technology.word_bits  # of a byte
    energy = macs * (price["float_multiply"] + price["float_add"])
    energy += weights_bytes * words * price["dram_read"] + activations * 4 * words * price["sram_read"]
    source = f"counts at {technology.node_nm} nm, {technology.source}; not measured: {reason}"
    return Quantity(energy, "pJ", "modelled", source)


def _activation_elements(layer: LayerTrace) -> float:
    read = layer.inputs.size + (0 if layer.second is None else layer.second.size)
    written = 1
    for length in layer.output_shape:
        written *= length
    return (read + written) / layer.samples


def processor_monitor() -> Any | str:
    """zeus's monitor of this processor's energy counters, or the reason why there is none."""
    if importlib.util.find_spec("zeus") is None:
        return "the package zeus is not installed (extra `energy`)"
    from zeus.device import get_cpus
    from zeus.device.exception import ZeusBaseCPUError
    from zeus.monitor import ZeusMonitor

    try:
        indices = list(range(len(get_cpus())))
        return ZeusMonitor(gpu_indices=[], cpu_indices=indices) if indices else "zeus sees no processor"
    except (ZeusBaseCPUError, OSError) as error:
        return f"zeus finds no energy counters (RAPL) here: {' '.join(str(error).split())}"


def measured_energy_pj(monitor: Any, infer: Callable[[], int]) -> float:
    """Energy of the processor packages while `infer` runs, in pJ per inference it reports.

    What idle cores and other processes draw is in it.

    Raises:
        ValueError: `infer` did nothing, or the counters stood still.
    """
    monitor.begin_window("inference")
    inferences = infer()
    joules = float(sum((monitor.end_window("inference").cpu_energy or {}).values()))
    if inferences <= 0 or joules <= 0:
        raise ValueError(f"The counters gave {joules} J for {inferences} inferences; run longer.")
    return joules * 1e12 / inferences
