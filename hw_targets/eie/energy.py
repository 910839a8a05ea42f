"""Energy and area by component, from counted events and the paper's Table II.

Table II gives the power of each module of an element. Divided by how often the module works, that is
an energy per event. The clock network is a fifth of the power and runs whether there is work or not;
the table's modules contain it, so it is taken out of each in proportion and charged by time.
Weights that have to be fetched from DRAM are charged at Table I's price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from hw_targets.eie.config import EieConfig
from hw_targets.eie.timing import Activity
from hw_targets.technology import read_table, technology

MODULES = ("activation_queue", "pointer_read", "weight_read", "arithmetic", "activation_access")
COMPONENTS = (*MODULES, "clock", "nonzero_detection", "dram")


@dataclass(frozen=True)
class Prices:
    """What EIE's parts cost.

    Attributes:
        event_pj: of one event of each module on one element, without the clock.
        clock_w: of one element's clock network.
        detector_w, detector_um2: of one unit that finds the next non-zero activation.
        area_um2: of one element, by module.
        dram_pj_per_bit: of a read.
        source: the tables.
    """

    event_pj: Mapping[str, float]
    clock_w: float
    detector_w: float
    detector_um2: float
    area_um2: Mapping[str, float]
    dram_pj_per_bit: float
    source: str


@cache
def prices() -> Prices:
    """Prices at 45 nm."""
    table = read_table("eie_element_45nm")
    without_clock = 1 - table["clock_power_mw"] / table["total_power_mw"]
    events_per_s = {module: table["events_per_cycle"][module] * table["clock_hz"] for module in MODULES}
    event_pj = {module: table["power_mw"][module] * without_clock / events_per_s[module] * 1e9 for module in MODULES}
    words = technology("eie_45nm")
    return Prices(
        event_pj,
        table["clock_power_mw"] * 1e-3,
        table["detector_power_mw"] * 1e-3,
        float(table["detector_area_um2"]),
        {module: float(area) for module, area in table["area_um2"].items()},
        words.energy_pj["dram_read"] / words.word_bits,
        f"counted events at the power of {table['source']}, and Table I for DRAM",
    )


def detectors(pe_count: int) -> int:
    """Units of the quadtree that finds the next non-zero activation: 21 for 64 elements."""
    units = 0
    while pe_count > 1:
        pe_count = -(-pe_count // 4)
        units += pe_count
    return units


def energy_pj(activity: Activity, config: EieConfig, dram_bits: float = 0.0) -> dict[str, np.ndarray]:
    """Energy of each vector by component, in pJ, float64 `[vectors]`.

    A broadcast is written into every element's queue, and every element reads the column's two
    pointers. An entry is one multiplication; its sum is read and written in a register.

    Args:
        dram_bits: fetched for each vector.
    """
    price = prices()
    broadcasts = activity.broadcasts * float(config.pe_count)
    events = {
        "activation_queue": broadcasts,
        "pointer_read": broadcasts,
        "weight_read": activity.lines,
        "arithmetic": activity.entries,
        "activation_access": activity.entries,
    }
    seconds = activity.cycles / config.clock_hz
    energy = {module: events[module] * price.event_pj[module] for module in MODULES}
    energy["clock"] = seconds * config.pe_count * price.clock_w * 1e12
    energy["nonzero_detection"] = seconds * detectors(config.pe_count) * price.detector_w * 1e12
    energy["dram"] = np.full(len(seconds), dram_bits * price.dram_pj_per_bit)
    return energy


def area_mm2(config: EieConfig) -> dict[str, float]:
    """Area by component, in mm²; the memories are those of the paper, whatever sizes are configured."""
    price = prices()
    area = {module: config.pe_count * each * 1e-6 for module, each in price.area_um2.items()}
    area["nonzero_detection"] = detectors(config.pe_count) * price.detector_um2 * 1e-6
    return area
