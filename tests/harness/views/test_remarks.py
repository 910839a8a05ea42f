"""Notes under a table name the task, the record and what to be careful with."""

from __future__ import annotations

from harness.views.remarks import layers_in_floats, remarks, standing_remarks


def test_each_kind_of_caution_names_the_task(make_record):
    noisy, old = make_record(noisy="load 3.2"), make_record("taylor", methodology=1)
    modified = make_record("dense", task="digits_mlp", task_modified=True)
    notes = remarks([noisy, old, modified])
    assert notes == [
        "cifar10_resnet20 on cpu: taylor: (old export) made with the old export: 8-bit networks multiplied floats, "
        "and speed-ups are against a dense network that was up to 3.7 times too slow; not ranked or compared with "
        "newer ones.",
        "digits_mlp on cpu: dense: the task was changed on the command line, so this is no official result.",
        f"cifar10_resnet20 on cpu: magnitude, seed 0 ({noisy.id[:8]}): noisy, load 3.2",
    ]
    assert standing_remarks([noisy]) == []


def test_layers_that_stay_in_floats_are_named_where_others_are_integers(make_record):
    layers = [{"name": "conv1", "arithmetic": "float32"}, {"name": "fc", "arithmetic": "int8"}]
    (note,) = remarks([make_record("int8", layers=layers)])
    assert note.startswith("cifar10_resnet20 on cpu: int8") and note.endswith("1 of its layers stay in floats: conv1.")
    assert layers_in_floats(make_record(layers=layers[:1])) == [], "a network of floats has nothing to admit"
    assert layers_in_floats(make_record()) == []


def test_numbers_in_no_layer_are_named(make_record):
    layers = [
        {"name": "fc", "kind": "linear"},
        *({"name": f"table{n}", "kind": "unattributed", "weights": 1000} for n in range(6)),
    ]
    (note,) = remarks([make_record(layers=layers)])
    assert "6,000 numbers are in no layer and count as kept: table0, table1, table2, table3 and 2 more." in note
