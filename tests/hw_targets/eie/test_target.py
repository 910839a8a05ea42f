from __future__ import annotations

import numpy as np
import pytest

from hw_targets.eie.config import EieConfig
from hw_targets.eie.energy import COMPONENTS
from hw_targets.eie.network import simulate_network
from hw_targets.eie.session import EieSession
from hw_targets.eie.target import EieTarget
from hw_targets.registry import make_target, quick_latency_ns
from hw_targets.target import ModelRefused, TargetError


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


def refused(build) -> dict:
    """Models that ONNX Runtime runs and EIE's session does not, and what they are told."""
    from onnx import helper

    rng = np.random.default_rng(0)

    def gru(operator: str, gates: int, **options):
        directions = 2 if "direction" in options else 1
        weights = {
            "r.weight_ih_l0": rng.normal(size=(directions, gates * 3, 4)),
            "r.weight_hh_l0": rng.normal(size=(directions, gates * 3, 3)),
        }
        nodes = [
            helper.make_node("Unsqueeze", ["x", "axis"], ["steps"]),
            helper.make_node(operator, ["steps", *weights], ["", "h"], hidden_size=3, **options),
            helper.make_node("ReduceSum", ["h", "axis"], ["y"], keepdims=0),
        ]
        return build(nodes, {"axis": np.array([0]), **{k: v.astype(np.float32) for k, v in weights.items()}}, "y")

    batch_of_one = [
        helper.make_node("Reshape", ["x", "shape"], ["one"]),
        helper.make_node("Gemm", ["one", "a.weight"], ["y"]),
    ]
    weight = rng.normal(size=(4, 3)).astype(np.float32)
    stack = [helper.make_node("Einsum", ["x", "a.weight"], ["y"], equation="ni,ni->n")]
    return {
        "GRU is not among": gru("GRU", 3),
        "one direction, forward": gru("LSTM", 4, direction="bidirectional"),
        "clipping": gru("LSTM", 4, clip=1.0),
        "ONNX Runtime fails in what makes": build(batch_of_one, {"shape": np.array([1, 4]), "a.weight": weight}, "y"),
        "by named dimensions": build(stack, {"a.weight": rng.normal(size=(20, 4)).astype(np.float32)}, "y"),
    }


def test_what_does_not_run_on_eie_is_the_models_fault(build, samples):
    for says, model in refused(build).items():
        with pytest.raises(ModelRefused, match=says):
            EieTarget(EieConfig(pe_count=4)).numerics(model, samples)


def test_what_shows_in_measuring_is_the_models_fault_too_unless_it_is_the_dense_ones(build, tiny, samples, tmp_path):
    from onnx import helper

    target = EieTarget(EieConfig(pe_count=4))
    nothing = build([helper.make_node("Relu", ["x"], ["y"])], {}, "y")
    with pytest.raises(ModelRefused, match="No layer of the model multiplies by weights"):
        target.measure(nothing, tiny, samples, "quick", tmp_path)
    with pytest.raises(TargetError, match=r"The dense reference cannot be simulated"):
        target.measure(tiny, nothing, samples, "quick", tmp_path)


def test_a_weight_of_further_dimensions_gives_them_to_its_output(build, samples):
    from onnx import helper

    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Squeeze", ["h", "axis"], ["y"])]
    weight = np.random.default_rng(0).normal(size=(1, 4, 3)).astype(np.float32)
    found = EieTarget().numerics(build(nodes, {"w": weight, "axis": np.array([0])}, "y"), samples).run(samples)
    assert np.abs(found - samples @ weight[0]).max() < 0.2


def test_a_search_can_ask_for_the_latency(tiny, samples):
    """Four samples on the default machine: the median is that of the whole simulation."""
    session = EieSession(tiny, samples)
    times = simulate_network(tiny, session, samples[:4]).time_s
    assert quick_latency_ns("eie", tiny, samples) == pytest.approx(sorted(times)[2] * 1e9)
