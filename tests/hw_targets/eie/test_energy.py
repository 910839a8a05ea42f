from __future__ import annotations

import numpy as np
import pytest

from hw_targets.eie import EieConfig
from hw_targets.eie.energy import MODULES, area_mm2, detectors, energy_pj, prices
from hw_targets.eie.layout import lay_out
from hw_targets.eie.paper import LAYERS, random_layer
from hw_targets.eie.timing import Activity, run
from hw_targets.technology import read_table


def table_2() -> dict:
    return read_table("eie_element_45nm")


def test_at_the_mean_activity_an_element_draws_what_table_2_says():
    table, config = table_2(), EieConfig(pe_count=1)
    seconds = 1.0
    events = {module: table["events_per_cycle"][module] * config.clock_hz * seconds for module in MODULES}
    one = Activity(
        cycles=np.array([config.clock_hz * seconds]),
        stalled=np.zeros(1),
        broadcasts=np.array([events["pointer_read"]]),
        entries=np.array([events["arithmetic"]]),
        lines=np.array([events["weight_read"]]),
    )
    watts = sum(each[0] for each in energy_pj(one, config).values()) * 1e-12 / seconds
    assert watts == pytest.approx(table["total_power_mw"] * 1e-3, rel=1e-3)
    assert sum(table["power_mw"].values()) == pytest.approx(table["total_power_mw"], rel=1e-3)


def test_64_elements_take_the_papers_area():
    assert sum(area_mm2(EieConfig()).values()) == pytest.approx(40.8, rel=0.01)
    assert [detectors(count) for count in (1, 4, 16, 64, 256)] == [0, 1, 5, 21, 85]


def test_events_per_cycle_are_the_means_over_the_papers_layers():
    """What the technology table says was derived is counted once more, on other random masks."""
    rates = []
    for name in LAYERS:
        mask, active = random_layer(name, np.random.default_rng(3))
        activity = run(lay_out(mask, EieConfig()), active, np.array([0, active.size]), EieConfig())
        cycles = float(activity.cycles[0])
        of_elements = (64 * activity.broadcasts[0], activity.lines[0], activity.entries[0])
        rates.append([each / cycles / 64 for each in of_elements])
    expected = [table_2()["events_per_cycle"][name] for name in ("pointer_read", "weight_read", "arithmetic")]
    assert np.mean(rates, axis=0) == pytest.approx(expected, rel=0.02)


def test_a_bit_from_dram_costs_table_1():
    assert prices().dram_pj_per_bit == 640 / 32
