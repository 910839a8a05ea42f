import json
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruning.masking import make_mask
from pruning.ratios import Problem
from pruning.ratios.sensitivity import Point, Sensitivity, choose_threshold, sensitivity_scan

FEW = (0.0, 0.5, 0.9)


def mask_at(model, ratio, within):
    return make_mask(model, criterion="magnitude", granularity="element", ratio=ratio, within=within)


def lost(model):
    return [float((layer.weight == 0).double().mean()) for layer in model]


def problem_of(evaluate):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10))
    return Problem(model, ("0.weight", "1.weight"), mask_at, evaluate=evaluate)


def evaluate(model):
    first, second = lost(model)
    return 1 - 0.5 * first - 0.1 * second


def test_each_layer_is_pruned_alone_and_the_dense_model_evaluated_once():
    seen = []

    def noting(model):
        seen.append(tuple(round(share, 3) for share in lost(model)))
        return evaluate(model)

    problem = problem_of(noting)
    before = {name: t.clone() for name, t in problem.model.state_dict().items()}
    scan = sensitivity_scan(problem, FEW)
    assert seen == [(0, 0), (0.5, 0), (0.9, 0), (0, 0.5), (0, 0.9)]
    assert scan.accuracy["0.weight"] == pytest.approx((1, 0.75, 0.55))
    assert scan.accuracy["1.weight"] == pytest.approx((1, 0.95, 0.91))
    assert all(torch.equal(t, before[name]) for name, t in problem.model.state_dict().items())


def test_a_scan_that_was_cut_off_goes_on_where_it_was():
    kept: list[Point] = []

    def failing(point):
        kept.append(point)
        if len(kept) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sensitivity_scan(problem_of(evaluate), FEW, on_point=failing)
    later: list[Point] = []
    scan = sensitivity_scan(problem_of(evaluate), FEW, known=kept, on_point=later.append)
    assert [(point.name, point.ratio) for point in later] == [("1.weight", 0.5), ("1.weight", 0.9)]
    assert scan == sensitivity_scan(problem_of(evaluate), FEW)


def test_curves_survive_json():
    scan = sensitivity_scan(problem_of(evaluate), FEW)
    assert Sensitivity.from_json(scan.to_json()) == scan
    assert json.loads(scan.to_json())["ratios"] == [0, 0.5, 0.9]
    for wrong in ("{}", "[1]", "no json"):
        with pytest.raises(ValueError, match="not the JSON of a sensitivity scan"):
            Sensitivity.from_json(wrong)


def test_a_dip_in_a_noisy_curve_does_not_make_a_layer_safe():
    scan = Sensitivity((0.0, 0.3, 0.6, 0.9), {"a": (0.9, 0.8, 0.88, 0.5), "b": (0.9, 0.95, 0.9, 0.7)})
    assert scan.degradation("a") == pytest.approx((0, 0.1, 0.1, 0.4))
    assert scan.largest_within("a", 0.05) == pytest.approx(0.15)
    assert scan.largest_within("a", 0.1001) > 0.6
    assert scan.degradation("b") == pytest.approx((0, 0, 0, 0.2)), "a gain is no more than no loss"
    assert scan.largest_within("b", 0.0) == pytest.approx(0.6)


def test_the_threshold_by_hand():
    # a loses 0.5 r and b 0.1 r: at T, ratios 2T and 10T; (2T + 10T)/2 = 0.48 at T = 0.08.
    scan = Sensitivity((0.0, 0.9), {"a": (1.0, 0.55), "b": (1.0, 0.91)})
    ratio = choose_threshold(scan, {"a": 100, "b": 100}, 0.48)
    assert ratio.sparsity == pytest.approx({"a": 0.16, "b": 0.80})
    # Beyond T = 0.09 only a can give: (2T + 0.9)/2 = 0.6 at T = 0.15.
    assert choose_threshold(scan, {"a": 100, "b": 100}, 0.6).sparsity == pytest.approx({"a": 0.3, "b": 0.9})


def test_flat_curves_share_what_the_jump_is_too_much():
    scan = Sensitivity((0.0, 0.4, 0.8), {"a": (1.0, 1.0, 0.5), "b": (1.0, 1.0, 1.0)})
    assert choose_threshold(scan, {"a": 100, "b": 100}, 0.3).sparsity == pytest.approx({"a": 0.2, "b": 0.4})
    assert choose_threshold(scan, {"a": 100, "b": 100}, 0.0).sparsity == {"a": 0.0, "b": 0.0}
    assert choose_threshold(scan, {"a": 100, "b": 100}, 0.8).sparsity == pytest.approx({"a": 0.8, "b": 0.8})


accuracies = st.lists(st.integers(0, 20).map(lambda x: x / 20), min_size=3, max_size=3)
curves = st.lists(st.tuples(accuracies, st.integers(5, 500)), min_size=1, max_size=4)


@settings(max_examples=50)
@given(curves, st.integers(0, 800).map(lambda x: x / 1000))
def test_the_overall_rate_is_met_to_the_weight_by_equal_degradation(drawn, overall):
    scan = Sensitivity((0.0, 0.4, 0.8), {str(i): tuple(curve) for i, (curve, _) in enumerate(drawn)})
    sizes = {str(i): size for i, (_, size) in enumerate(drawn)}
    ratio = choose_threshold(scan, sizes, overall)
    removed = sum(size - ratio.count(name, size) for name, size in sizes.items())
    assert removed == round(Fraction(str(overall)) * sum(sizes.values()))
    # Oracle: between the scanned thresholds on both sides of the rate, but for the rounding to a weight.
    for threshold in sorted({lost for name in sizes for lost in scan.degradation(name)}):
        now = {name: scan.largest_within(name, threshold) for name in sizes}
        if sum(now[name] * sizes[name] for name in sizes) >= overall * sum(sizes.values()):
            assert all(ratio.sparsity[name] <= now[name] + 2 / sizes[name] for name in sizes)
            break
        assert all(ratio.sparsity[name] >= now[name] - 2 / sizes[name] for name in sizes)


@pytest.mark.parametrize(
    ("sizes", "overall", "message"),
    [
        ({"a": 10, "b": 10}, 0.85, "cannot be met: the scan ends at 0.8, and so at most 0.8"),
        ({"a": 10}, 0.5, r"sizes are of \['a'\], but the scan is of \['a', 'b'\]"),
        ({"a": 10, "b": 10}, -0.1, "in 0…1, not -0.1"),
    ],
)
def test_refuses_what_cannot_be_met(sizes, overall, message):
    scan = Sensitivity((0.0, 0.4, 0.8), {"a": (1.0, 1.0, 0.5), "b": (1.0, 1.0, 1.0)})
    with pytest.raises(ValueError, match=message):
        choose_threshold(scan, sizes, overall)


def test_refuses_what_is_no_scan():
    for ratios in [(), (0.0,), (0.1, 0.2), (0.0, 0.5, 0.5), (0.0, 1.0)]:
        with pytest.raises(ValueError, match="rise from 0 and stay below 1"):
            sensitivity_scan(problem_of(evaluate), ratios)
    with pytest.raises(ValueError, match="give the problem an evaluate="):
        sensitivity_scan(problem_of(None))
    with pytest.raises(ValueError, match="evaluate= gave nan"):
        sensitivity_scan(problem_of(lambda model: float("nan")))
    with pytest.raises(ValueError, match="curve of a needs 2 finite accuracies"):
        Sensitivity((0.0, 0.5), {"a": (1.0,)})
