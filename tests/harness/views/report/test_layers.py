"""Layers as a table, from whichever columns a target writes."""

from __future__ import annotations

from harness.views.report.layers import layer_sparsity, layer_table


def test_layer_columns_of_different_targets():
    assert layer_sparsity({"sparsity": 0.25}) == 0.25
    assert layer_sparsity({"weights": 100, "nonzeros": 25}) == 0.75
    assert layer_sparsity({"weights": 0, "nonzeros": 0}) is None
    assert layer_sparsity({"sparsity": "a lot", "weights": True}) is None


def test_all_columns_of_the_layers_are_shown(make_record):
    layers = [
        {
            "name": "conv1",
            "arithmetic": "float32",
            "weight_shape": [16, 3, 3, 3],
            "macs_dense": 442_368,
            "sparsity": 0.5,
        },
        {"name": "not attributed", "numbers_kept": 12, "energy_pj": {"clock": 1.0}, "counted": True},
    ]
    headings, rows = layer_table(make_record(layers=layers))
    assert headings == ["Name", "Arithmetic", "Weight shape", "MACs, dense", "Sparsity", "Numbers kept", "Counted"]
    assert rows == [
        ["conv1", "float32", "16×3×3×3", "442 k", "50.0 %", "–", "–"],
        ["not attributed", "–", "–", "–", "–", "12", "yes"],
    ]
