"""One matrix on EIE: encoded, multiplied by vectors, timed, and paid for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hw_targets.eie.arithmetic import multiply
from hw_targets.eie.codebook import code_weight
from hw_targets.eie.config import EieConfig
from hw_targets.eie.energy import energy_pj
from hw_targets.eie.fixed_point import format_for
from hw_targets.eie.layout import encode_batches, lay_out, reload_bits
from hw_targets.eie.timing import run


@dataclass(frozen=True)
class EieLayerResult:
    """What `simulate_layer` found: numbers for one vector, arrays `[batch]` for a batch.

    Attributes:
        cycles: from the first broadcast to the last write-back.
        theoretical_cycles: of a perfect balance: entries worked off, padding included, over elements.
        load_balance_efficiency: `theoretical_cycles` / `cycles`.
        stalled_cycles: in which a full queue held a broadcast up.
        reload_cycles: to fetch the layer from DRAM before each vector, where it does not fit; else 0.
        time_s: `cycles` and `reload_cycles` over the clock.
        energy_pj: by component, see `hw_targets.eie.energy`.
        padding_fraction: share of the stored entries that only bridge a long run of zeros.
        elements_entries: stored on each element, int64 `[N]`.
        output: the machine's result in real numbers, float64 `[out]` or `[batch, out]`.
        output_codes: the same as the 16-bit codes that the machine writes, int32.
    """

    cycles: int | np.ndarray
    theoretical_cycles: float | np.ndarray
    load_balance_efficiency: float | np.ndarray
    stalled_cycles: int | np.ndarray
    reload_cycles: float
    time_s: float | np.ndarray
    energy_pj: dict[str, float] | dict[str, np.ndarray]
    padding_fraction: float
    elements_entries: np.ndarray
    output: np.ndarray
    output_codes: np.ndarray


class EieLayer:
    """A matrix in EIE's memories, encoded once, to be multiplied by any number of vectors.

    Args:
        weight: `[out, in]`.

    Raises:
        ValueError: see `simulate_layer`.
    """

    def __init__(self, weight: np.ndarray, config: EieConfig | None = None) -> None:
        self.config = config or EieConfig()
        weight = _numbers(weight, "The weight")
        if weight.ndim != 2 or weight.size == 0:
            raise ValueError(f"EIE multiplies by a matrix [out, in]; this weight has shape {list(weight.shape)}.")
        self.weight = code_weight(weight, self.config)
        self.encoded = encode_batches(self.weight.codes, self.config)
        self.layout = lay_out(self.weight.codes, self.config)
        name = f"A weight of shape {list(weight.shape)}"
        self.dram_bits = reload_bits({name: self.layout}, (), self.config)[name]

    def multiply(self, activations: np.ndarray, *, relu: bool = False) -> EieLayerResult:
        """Multiply by each vector of `activations`; see `simulate_layer`."""
        config, layout = self.config, self.layout
        activations = _numbers(activations, "The activations")
        if activations.ndim not in (1, 2) or activations.shape[-1] != layout.columns or activations.size == 0:
            raise ValueError(
                f"A weight of shape {[layout.rows, layout.columns]} multiplies vectors of {layout.columns}, "
                f"[in] or [batch, in], not activations of shape {list(activations.shape)}."
            )
        vectors = np.atleast_2d(activations)
        format = format_for(float(np.abs(vectors).max(initial=0)), config.value_bits)
        codes = format.encode(vectors)
        sums = multiply(self.encoded, self.weight.table, codes).astype(np.float64)
        sums = np.maximum(sums, 0) if relu else sums
        fraction = self.weight.format.fraction + format.fraction
        written = format_for(float(np.abs(sums).max(initial=0)) * 2.0**-fraction, config.value_bits)
        output_codes = written.write_back(sums, fraction)
        vector, column = np.nonzero(codes)
        activity = run(layout, column.astype(np.int32), np.searchsorted(vector, np.arange(len(vectors) + 1)), config)
        reload_cycles = self.dram_bits / 8 / config.dram_bytes_per_cycle
        theoretical = activity.entries / config.pe_count
        single = activations.ndim == 1

        def take(array: np.ndarray) -> Any:
            return array[0].item() if single else array

        return EieLayerResult(
            cycles=take(activity.cycles),
            theoretical_cycles=take(theoretical),
            load_balance_efficiency=take(theoretical / activity.cycles),
            stalled_cycles=take(activity.stalled),
            reload_cycles=reload_cycles,
            time_s=take((activity.cycles + reload_cycles) / config.clock_hz),
            energy_pj={name: take(of) for name, of in energy_pj(activity, config, self.dram_bits).items()},
            padding_fraction=layout.padding_fraction,
            elements_entries=layout.entries_of_elements,
            output=written.decode(output_codes[0] if single else output_codes),
            output_codes=(output_codes[0] if single else output_codes).astype(np.int32),
        )


def simulate_layer(
    weight: np.ndarray, activations: np.ndarray, config: EieConfig | None = None, *, relu: bool = False
) -> EieLayerResult:
    """Multiply `weight` by each vector of `activations`, as EIE does.

    The weight is held as codes of a codebook (see `EieConfig.sharing`); its values, the activations
    and the result are in fixed point of 16 bits, each with the binary point where its greatest value
    needs it; vectors of a batch have theirs in common. Sums are exact until they are written back.
    To multiply by more vectors later, keep an `EieLayer`.

    Args:
        weight: `[out, in]`.
        activations: `[in]` or `[batch, in]`; zeros are skipped.
        relu: write back 0 in place of what is below it.

    Raises:
        ValueError: NaN or infinity, shapes that do not fit, a layer that the memories do not hold under
            `overflow="refuse"`, or more values than the codebook holds under `sharing="keep"`.
    """
    return EieLayer(weight, config).multiply(activations, relu=relu)


def _numbers(array: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name}: EIE reads real numbers, not {array.dtype}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: there is NaN or infinity; EIE's numbers are finite.")
    return array if array.dtype.kind == "f" else array.astype(np.float64)
