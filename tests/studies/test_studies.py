"""Each study: its cells build, a tiny one of each kind runs, and its findings follow the numbers both ways."""

import math
from importlib import import_module
from xml.etree import ElementTree

import pytest
import torch
from rows import result_of

from harness.store.code import SETTLED, study_sources
from harness.store.sources import Tree
from pruning.granularity import GRANULARITIES
from pruning.ratios import ALLOCATIONS
from pruning.ratios.cost import layer_costs, masked_macs
from studies import (
    STUDIES,
    allocations,
    bits,
    calibration,
    criteria,
    frontier,
    granularities,
    lottery,
    schedules,
    sensitivity,
)
from studies.plots import to_svg

# Study → the parameters by whose values its cells go different ways.
KINDS = {
    "schedules": ("schedule", "penalty"),
    "sensitivity": ("scanned",),
    "criteria": ("criterion",),
    "granularities": ("granularity",),
    "allocations": ("rule",),
    "frontier": ("pipeline",),
    "bits": ("values", "pruned"),
    "calibration": ("scales", "percent"),
}


def forbid_what_is_not_in_the_key(study, patched):
    """No cell may draw, put into words, or time anything unless the study says that it measures."""

    def refuse(*args, **options):
        raise AssertionError("a cell's key says that it does not depend on this")

    for name, value in list(vars(import_module(f"studies.{study.name}")).items()):
        if getattr(value, "__module__", "") in SETTLED:
            patched.setattr(f"studies.{study.name}.{name}", refuse)
    if not study.measures:
        patched.setattr("hw_targets.registry.quick_latency_ns", refuse)
        patched.setattr("hw_targets.cpu.target.CpuTarget.measure", refuse)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_that_can_time_something_says_so(name, lab, tiny):
    found = study_sources(f"studies.{name}", lab.task, Tree()).digests
    assert tiny(name)[0].measures == bool({"hw_targets.registry", "hw_targets.cpu.target"} & found.keys())


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_cells_build_and_one_of_each_kind_runs(name, lab, tiny, monkeypatch):
    study, settings = tiny(name)
    assert study.name == name and study.question.endswith("?")
    before = {key: value.clone() for key, value in lab.dense.state_dict().items()}
    cells = study.plan(lab, settings, [0, 1]).cells
    assert len({str(cell) for cell in cells}) == len(cells) > 1
    kinds = KINDS.get(name, ())
    chosen = {str([cell.get(kind) for kind in kinds]): cell for cell in cells if cell.get("seed", 0) == 0}
    rows = []
    for cell in chosen.values():
        with monkeypatch.context() as patched:
            forbid_what_is_not_in_the_key(study, patched)
            numbers = study.run_cell(lab, cell)
        assert all(math.isfinite(value) for value in numbers.values())
        tests = [value for number, value in numbers.items() if number.endswith("test")]
        assert all(0 <= value <= 1 for value in tests) and bool(tests) == (name != "speed")
        assert study.epochs(cell) >= 0
        rows.append((cell, numbers))
    assert all(torch.equal(value, before[key]) for key, value in lab.dense.state_dict().items())
    result = result_of(rows, reference=lab.judge(lab.dense)["test"])
    assert all(sentence.endswith(".") for sentence in study.findings(result))
    picture = to_svg(study.plot(result))
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert picture == to_svg(study.plot(result))


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_without_rows_says_nothing_wrong(name, tiny):
    study, _ = tiny(name)
    assert all("no ratio tried" in said for said in study.findings(result_of([])))
    assert "<svg" in to_svg(study.plot(result_of([])))


def test_schedules_follow_the_numbers():
    def rows(iterative, one_shot):
        return [
            ({"schedule": schedule, "penalty": "L2", "ratio": 0.95, "seed": seed}, {"test": value + seed / 10_000})
            for seed in range(3)
            for schedule, value in (("iterative", iterative), ("one-shot", one_shot), ("prune only", 0.3))
        ]

    good = schedules.findings(result_of(rows(0.979, 0.961)))
    assert any(s.startswith("iterative with L2 is above one-shot with L2 at 95%: 97.91 % vs 96.11 %") for s in good)
    assert "iterative: within 0.5 points of the dense 98.00 % up to 95% removed (with L2)." in good
    bad = schedules.findings(result_of(rows(0.961, 0.979)))
    assert any("iterative with L2 is below one-shot with L2 at 95%, against the expected order" in s for s in bad)
    assert "iterative: no ratio tried stays within 0.5 points of the dense 98.00 %." in bad


def test_sensitivity_follows_the_numbers():
    curves = {"fc1": (0.98, 0.975, 0.90), "fc2": (0.98, 0.60, 0.979)}  # fc2 recovers: that does not count
    rows = [
        ({"layer": name, "ratio": ratio}, {"test": value})
        for name, curve in curves.items()
        for ratio, value in zip((0.0, 0.5, 0.9), curve, strict=True)
    ]
    check = ({"scanned": [0.0, 0.5], "overall": [0.5], "layers": 2}, {})
    for chosen, word in ((0.9, "above"), (0.7, "below"), (0.801, "not told apart from")):
        check[1].update({"by sensitivity 0.5 test": chosen, "equally 0.5 test": 0.8})
        said = sensitivity.findings(result_of([*rows, check]))
        assert said[0].startswith("fc1 alone bears 50%") and said[1].startswith("fc2 alone bears 0%")
        assert "The most sensitive layer is fc2, the least sensitive fc1." in said
        assert f"are {word} equal ones: {100 * chosen:.2f} % vs 80.00 %" in said[-1]


def test_criteria_are_ranked_and_held_against_random():
    def rows(magnitude, random):
        cell = {"granularity": "element", "ratio": 0.9, "seed": 0}
        return [
            ({**cell, "criterion": name}, {"test": value, "pruned test": 0.5})
            for name, value in (("magnitude", magnitude), ("random", random))
        ]

    pruned, tuned = criteria.findings(result_of(rows(0.97, 0.5)))
    assert pruned.endswith("Above random: none; not told apart from it: magnitude; below it: none.")
    assert "fine-tuned (1 seed): magnitude 97.00 %, random 50.00 %. Above random: magnitude" in tuned
    assert criteria.findings(result_of(rows(0.5, 0.97)))[1].endswith("below it: magnitude.")


def test_criteria_are_used_where_they_apply(lab, tiny):
    study, settings = tiny("criteria")
    plan = study.plan(lab, settings, [0])
    pairs = {(cell["granularity"], cell["criterion"]) for cell in plan.cells}
    assert {("element", "magnitude"), ("filter", "apoz"), ("channel", "regression")} <= pairs
    assert ("element", "apoz") not in pairs and "apoz of elements" in plan.left_out
    assert "No batch norm" in plan.left_out["batch_norm of filters"]
    assert all((scope, "random") in pairs for scope, _ in pairs)


def test_granularities_are_used_where_they_apply(lab):
    plan = granularities.plan(lab, {"ratios": [0.5, 0.9], "epochs": 1, "learning_rate_factor": 0.1}, [0])
    found = {(cell["granularity"], cell["ratio"]) for cell in plan.cells}
    assert {("element", 0.9), ("filter", 0.5), ("nm", 0.5), ("load_balanced", 0.9)} <= found
    assert ("nm", 0.9) not in found and "nm at 90%" in plan.left_out
    assert "kernel" in plan.left_out and "no kernels" in plan.left_out["kernel"]
    assert {name for name, _ in found} | {name.split(" at ")[0] for name in plan.left_out} == set(GRANULARITIES)


def test_granularities_follow_the_numbers():
    rows = [
        ({"granularity": name, "ratio": 0.5, "seed": seed}, {"test": value, "pruned test": 0.5})
        for seed in range(3)
        for name, value in (("element", 0.98), ("filter", 0.90))
    ]
    assert granularities.findings(result_of(rows))[0].startswith("element is above filter at 50% after fine-tuning")
    turned = [(cell, {"test": 1.88 - numbers["test"]}) for cell, numbers in rows]
    assert "element is below filter" in granularities.findings(result_of(turned))[0]


def test_granularities_that_are_not_fine_tuned_say_so():
    rows = [
        ({"granularity": name, "ratio": 0.5, "seed": 0}, {"pruned test": value})
        for name, value in (("element", 0.9), ("filter", 0.2))
    ]
    assert granularities.findings(result_of(rows))[0].startswith(
        "element is above filter at 50% right after pruning: 90."
    )
    assert "after fine-tuning" not in to_svg(granularities.plot(result_of(rows)))


def test_untrained_cells_are_judged_once(lab, tiny):
    study, settings = tiny("granularities")
    cell = study.plan(lab, {**settings, "epochs": 0}, [0]).cells[0]
    assert "test" not in study.run_cell(lab, cell) and "pruned test" in study.run_cell(lab, cell)


def test_lottery_follows_the_numbers():
    def findings(ticket, other):
        numbers = {"ticket test": ticket, "redrawn test": other, "random test": other, "moving test": ticket}
        return lottery.findings(result_of([({"ratio": 0.9, "seed": 0}, numbers)]))

    won, lost = findings(0.97, 0.90), findings(0.90, 0.97)
    assert len(won) == 3 and all("winning ticket is above" in sentence for sentence in won[:2])
    assert won[2].startswith("random mask that moves (RigL) is above random mask, same counts")
    assert all("against the expected order" in sentence for sentence in lost)


def test_allocations_meet_the_budget_and_their_macs_are_exact(lab):
    problem = allocations.problem_of(lab, lab.context(0), 0)
    cost = allocations.macs_of(problem)
    dense = cost(dict.fromkeys(problem.names, 0.0))
    assert dense == lab.task.macs
    for rule in ("uniform", *ALLOCATIONS):
        cell = {"macs": 0.5, "episodes": 2, "seed": 0}
        shares = allocations.allocate(rule, problem, cost, cell).sparsity
        small = problem.shrink(*problem.masked(shares))
        counted = masked_macs(layer_costs(small, problem.example_inputs), {})
        assert cost(shares) == pytest.approx(counted)
        assert counted <= 0.5 * dense * 1.01  # AMC's shares are rounded to whole rows once they are chosen
    with pytest.raises(ValueError, match="above the budget"):
        allocations.allocate("uniform", problem, cost, {"macs": 1e-6})


def test_the_frontier_names_the_largest_compression_without_loss():
    def rows(*accuracies):
        return [
            ({"pipeline": name, "compression": compression, "seed": 0}, {"test": value, "validation": judged})
            for compression, value in zip((8, 12, 16), accuracies, strict=True)
            for name, value, judged in (("gradual", value, 0.9), ("iterative + teacher", 0.5, 0.8))
        ]

    said = frontier.findings(result_of(rows(0.99, 0.981, 0.97)))
    assert said[0] == "At no loss of test accuracy (mean over seeds): 12× fewer weights."
    assert "At 16× fewer weights, gradual (of 2 pipelines the best on validation data): 97.00 %" in said[3]
    assert frontier.findings(result_of(rows(0.9, 0.9, 0.9)))[0].startswith("No compression tried")


def test_the_pipeline_is_chosen_on_validation_data():
    rows = [
        ({"pipeline": "gradual", "compression": 8, "seed": 0}, {"test": 0.99, "validation": 0.90}),
        ({"pipeline": "iterative + teacher", "compression": 8, "seed": 0}, {"test": 0.95, "validation": 0.91}),
    ]
    assert frontier.best(result_of(rows), 8) == ("iterative + teacher", {0: 0.95})


def test_published_figures_have_a_source_and_come_with_their_task_alone():
    (han,) = frontier.published("mnist_lenet300")
    assert (han["compression"], round(100 - han["before"], 2), round(100 - han["after"], 2)) == (12, 1.64, 1.59)
    assert "1506.02626" in han["source"]
    assert any("Han et al. 2015" in said for said in frontier.findings(result_of([], task="mnist_lenet300")))
    assert frontier.published("digits_mlp") == []


def test_an_unknown_pipeline_is_refused(lab):
    cell = {"pipeline": "sudden", "compression": 4, "seed": 0, "epochs": 1, "steps": 1, "learning_rate_factor": 1.0}
    with pytest.raises(ValueError, match="no pipeline named 'sudden'"):
        frontier.run_cell(lab, cell)


def test_bits_follow_the_numbers():
    def rows(trained, rounded):
        numbers = {"test": trained, "rounded test": rounded, "kept": 100.0, "total": 1000.0}
        return [
            (
                {"values": values, "bits": width, "pruned": 0.9, "seed": 0},
                numbers | ({} if width > 2 else {"test": 0.3}),
            )
            for values in bits.VALUES
            for width in (4, 2)
        ]

    good = bits.findings(result_of(rows(0.978, 0.5)))
    assert good[0].startswith(
        "codebook, 90 % pruned: within 0.5 points of the dense 98.00 % down to 4 bits: 97.80 %, 80× fewer bits"
    )
    assert any(s.startswith("trained codebook is above the untrained at 4 bits of a network 90 % pruned") for s in good)
    bad = bits.findings(result_of(rows(0.5, 0.978)))
    assert bad[0] == "codebook, 90 % pruned: no width tried stays within 0.5 points of the dense 98.00 %."
    assert any("trained even grid is below the untrained at 4 bits" in s and "against the" in s for s in bad)


def test_the_best_range_is_found_and_held_against_the_whole_one():
    def rows(cut, whole, one):
        each, layer = calibration.SCALES
        numbers = {(each, 99.9): cut, (each, 100.0): whole, (layer, 99.9): one, (layer, 100.0): one}
        return [
            (
                {"bits": 4, "scales": scales, "percent": share, "seed": seed},
                dict.fromkeys(("test", "validation"), value + seed / 1e4),
            )
            for (scales, share), value in numbers.items()
            for seed in (0, 1)
        ]

    found = calibration.findings(result_of(rows(cut=0.9, whole=0.8, one=0.7)))
    assert found[0].startswith("weights of 4 bits: the best of the ranges tried ends at percentile 99.9: 90.")
    assert found[1].startswith("a range to percentile 99.9 is above the whole range with weights of 4 bits: 90.")
    assert found[2].startswith("a scale for each output is above one scale a layer with weights of 4 bits and a range")
    found = calibration.findings(result_of(rows(cut=0.8, whole=0.9, one=0.95)))
    assert found[0].startswith("weights of 4 bits: the best of the ranges tried ends at the greatest value: 90.")
    assert "is below the whole range" in found[1] and "against the expected order" in found[1]
    assert "is below one scale a layer" in found[2]
