from __future__ import annotations

import numpy as np
import pytest

from hw_targets.eie.config import EieConfig
from hw_targets.eie.energy import COMPONENTS
from hw_targets.eie.network import simulate_network
from hw_targets.eie.session import EieSession
from hw_targets.eie.target import EieTarget
from hw_targets.registry import make_target, quick_latency_ns
from hw_targets.target import ModelRefused


@pytest.fixture
def samples() -> np.ndarray:
    return np.maximum(np.random.default_rng(0).normal(size=(20, 4)), 0).astype(np.float32)


def test_a_measurement_says_what_was_simulated(tiny, samples, tmp_path):
    target = make_target("eie", {"pe_count": 4})
    assert isinstance(target, EieTarget)
    found = target.measure(tiny, tiny, samples, "quick", tmp_path)
    value = {name: quantity.value for name, quantity in found.quantities.items()}
    assert found.quantities["latency_p50_ns"].basis == "simulated"
    assert value["speedup_vs_dense"] == value["energy_vs_dense"] == value["macs_accelerated_fraction"] == 1
    assert len(found.samples["latency_ns"]) == 16
    assert sum(value[f"energy_{name}_pj"] for name in COMPONENTS) == pytest.approx(value["energy_per_inference_pj"])
    assert value["inferences_per_joule"] == pytest.approx(1e12 / value["energy_per_inference_pj"])
    assert [row["name"] for row in found.layers] == ["a", "b"]
    assert all(len(row["pe_busy_cycles"]) == 4 and row["cycles"] > 0 for row in found.layers)
    assert np.mean(found.samples["latency_ns"]) == pytest.approx(value["cycles"] / EieConfig().clock_hz * 1e9)
    assert "peak_memory_bytes" in found.absent


def test_fewer_weights_take_less_time_and_energy(build, samples, tmp_path):
    from onnx import helper

    def linear(density: float):
        rng = np.random.default_rng(0)
        weight = (rng.normal(size=(256, 4)) * (rng.random((256, 4)) < density)).astype(np.float32)
        return build([helper.make_node("Gemm", ["x", "a.weight"], ["y"], transB=1)], {"a.weight": weight}, "y")

    found = make_target("eie", {"pe_count": 4}).measure(linear(0.1), linear(1.0), samples, "quick", tmp_path)
    assert found.quantities["speedup_vs_dense"].value > 3
    assert found.quantities["energy_vs_dense"].value < 0.4


def test_what_does_not_fit_is_refused_before_it_is_judged(tiny, samples):
    target = EieTarget(EieConfig(overflow="refuse", weight_sram_bytes=1, pe_count=1))
    with pytest.raises(ModelRefused, match="EIE does not run this model: a puts 16 entries"):
        target.numerics(tiny, samples)
    with pytest.raises(ValueError, match=r"no option 'pe_cuont'\. Did you mean pe_count"):
        make_target("eie", {"pe_cuont": 4})


def test_a_search_can_ask_for_the_latency(tiny, samples):
    """Four samples on the default machine: the median is that of the whole simulation."""
    session = EieSession(tiny, samples)
    times = simulate_network(tiny, session, samples[:4]).time_s
    assert quick_latency_ns("eie", tiny, samples) == pytest.approx(sorted(times)[2] * 1e9)
