"""Codes fitted to activations: less error on others than the nearest values, and the pruning untouched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import helper

from hw_targets.eie.codebook import code_weight
from hw_targets.eie.config import EieConfig
from hw_targets.eie.fitting import COLUMNS, fit_weight
from hw_targets.eie.lowering import sample_windows
from hw_targets.eie.session import EieSession

CONFIG = EieConfig()


def activations(rng: np.random.Generator, n: int, columns: int) -> np.ndarray:
    """Rectified mixtures of a few causes, as a network's are: they go together."""
    mixing = np.random.default_rng(7).normal(size=(columns // 4, columns))
    return np.maximum(rng.normal(size=(n, columns // 4)) @ mixing, 0)


@pytest.mark.parametrize(("columns", "share"), [(32, 0.5), (200, 0.5), (COLUMNS + 40, 0.8)])
def test_outputs_on_other_activations_change_less_than_with_the_nearest_values(columns, share):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(24, columns)) * (rng.random((24, columns)) < 0.5)
    fitted = fit_weight(weight, activations(rng, 400, columns)[None], CONFIG)
    others = activations(rng, 400, columns)

    def error(values: np.ndarray) -> float:
        return float(np.square(others @ (values - weight).T).mean())

    assert error(fitted.values()) < share * error(code_weight(weight, CONFIG).values())
    np.testing.assert_array_equal(fitted.codes != 0, weight != 0)


def test_columns_that_do_not_go_together_take_the_nearest_values():
    weight = np.random.default_rng(0).normal(size=(8, 40))
    fitted = fit_weight(weight, 3.0 * np.eye(40)[None], CONFIG)
    nearest = np.abs(weight[..., None] - fitted.values_of_codes[1:]).argmin(-1) + 1
    np.testing.assert_array_equal(fitted.codes, nearest)


def test_groups_are_fitted_to_their_own_activations():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 5, 1, 1))
    vectors = rng.normal(size=(2, 300, 5))
    whole = fit_weight(weight, vectors, CONFIG)
    swapped = fit_weight(weight[[3, 4, 5, 0, 1, 2]], vectors[::-1], CONFIG)
    np.testing.assert_array_equal(whole.codes, swapped.codes[[3, 4, 5, 0, 1, 2]])
    assert whole.codes.shape == weight.shape


def test_few_values_are_the_entrys_own_and_dead_activations_do_no_harm():
    weight = np.random.default_rng(0).choice([-0.5, 0.0, 0.25], size=(4, 12))
    kept = fit_weight(weight, np.ones((1, 3, 12)), CONFIG)
    assert kept.kept
    np.testing.assert_array_equal(kept.values(), weight)
    dense = np.random.default_rng(0).normal(size=(4, 12))
    np.testing.assert_allclose(fit_weight(dense, np.zeros((1, 3, 12)), CONFIG).values(), dense, atol=0.3)


@pytest.mark.parametrize("groups", [1, 2])
def test_sampled_windows_are_those_of_the_convolution(groups):
    images = np.random.default_rng(0).normal(size=(2, 4, 9, 8))
    geometry = {"stride": (2, 1), "padding": (1, 1, 1, 1), "dilation": (1, 2)}
    found = sample_windows(images, (3, 3), 10**6, **geometry, groups=groups)
    unfolded = torch.nn.functional.unfold(torch.from_numpy(images), (3, 3), (1, 2), 1, (2, 1)).numpy()
    vectors = unfolded.transpose(0, 2, 1).reshape(-1, groups, 36 // groups).swapaxes(0, 1)
    np.testing.assert_array_equal(found, vectors)
    few = sample_windows(images, (3, 3), 7, **geometry, groups=groups)
    assert few.shape[:2] == (groups, 7)
    assert all(any(np.array_equal(row, other) for other in vectors[0]) for row in few[0])


def test_a_weight_used_twice_is_held_once(build):
    weight = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w.weight"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w.weight"], ["y"]),
    ]
    samples = np.random.default_rng(1).normal(size=(20, 16)).astype(np.float32)
    first, second = EieSession(build(nodes, {"w.weight": weight}, "y"), samples).layers.values()
    assert second.coded is first.coded
    assert not first.coded.kept
