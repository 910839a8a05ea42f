from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hw_targets.energy import measured_energy_pj, modelled_energy, processor_monitor
from hw_targets.graph.trace import trace
from hw_targets.technology import technology


def test_worked_example(tiny):
    layers = trace(tiny, np.ones((2, 4), np.float32))
    energy = modelled_energy(layers, 256, technology(), "no counters")
    # 56 MACs at 3.7 + 0.9 pJ, 64 words of weights at 640 pJ, (4 + 8) + (8 + 3) activations at 5 pJ.
    assert energy.value == pytest.approx(56 * 4.6 + 64 * 640 + 23 * 5)
    assert energy.basis == "modelled"
    assert "Table I" in energy.source and "no counters" in energy.source


class Monitor:
    def __init__(self, joules):
        self.joules = joules

    def begin_window(self, _):
        pass

    def end_window(self, _):
        return SimpleNamespace(cpu_energy=self.joules)


def test_measured_energy_adds_the_packages():
    assert measured_energy_pj(Monitor({0: 1.5, 1: 0.5}), lambda: 1000) == pytest.approx(2e9)


@pytest.mark.parametrize("joules", [{0: 0.0}, None])
def test_counters_that_stand_still_are_no_measurement(joules):
    with pytest.raises(ValueError, match="run longer"):
        measured_energy_pj(Monitor(joules), lambda: 10)


def test_a_machine_has_counters_or_a_reason():
    monitor = processor_monitor()
    assert monitor if isinstance(monitor, str) else hasattr(monitor, "begin_window")


def test_unknown_technology():
    with pytest.raises(ValueError, match="Known: eie_45nm"):
        technology("7nm")
