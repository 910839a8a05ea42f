"""A record survives the way to disk and back, and old files keep loading."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.store.records import SCHEMA_VERSION, RecordError, from_json, json_schema, to_json
from hw_targets.target import Quantity

GOLDEN = Path(__file__).parent / "records"
SCHEMA_FILE = Path(__file__).parents[3] / "harness" / "store" / "schema" / f"record-v{SCHEMA_VERSION}.json"

FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
QUANTITIES = st.builds(
    Quantity, FINITE, st.text(), st.sampled_from(["measured", "simulated", "modelled"]), st.text(), st.none() | FINITE
)


@settings(max_examples=60, deadline=None)
@given(
    quantities=st.dictionaries(st.text(), QUANTITIES, max_size=3),
    samples=st.dictionaries(st.text(), st.lists(FINITE, max_size=4), max_size=2),
    parameters=st.dictionaries(st.text(), PLAIN, max_size=3),
    submission=st.text(),
)
def test_any_finite_record_comes_back_equal(make_record, quantities, samples, parameters, submission):
    record = make_record(submission, quantities=quantities, samples=samples, parameters=parameters, queries=1)
    assert from_json(to_json(record)) == record


@pytest.mark.parametrize("verdict", ["valid", "invalid", "error"])
def test_written_records_follow_the_published_schema(make_record, verdict):
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(to_json(make_record(verdict=verdict))), schema)


def test_the_published_schema_is_the_code_s():
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema()


def test_the_schema_refuses_what_is_no_record(make_record):
    fields = json.loads(to_json(make_record()))
    for broken in ({**fields, "verdict": "perhaps"}, {**fields, "quantities": {"latency_p50_ns": 3}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, json_schema())


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_record_of_every_version_loads(path):
    record = from_json(path.read_text(), str(path))
    assert record.submission == "magnitude" and record.quality is not None
    assert record.quantities["latency_p50_ns"] == Quantity(402_113.0, "ns", "measured", "LoadGen", 400_870.0, 403_921.0)
    assert record.absent["energy_per_inference_pj"] and record.layers[0]["name"] == "conv1"
    assert from_json(to_json(record)) == record


def test_records_of_version_1_are_of_the_first_methodology():
    assert [from_json((GOLDEN / f"v{n}.json").read_text()).methodology for n in (1, 2)] == [1, 2]


def test_there_is_a_golden_record_of_every_version():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {f"v{n}" for n in range(1, SCHEMA_VERSION + 1)}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_refused_with_their_place(make_record, value):
    good = make_record(queries=3)
    quantity = Quantity(value, "ns", "measured", "x")
    with pytest.raises(RecordError, match=r"quantities\.latency_p50_ns\.value is .*`absent`"):
        to_json(replace(good, quantities={"latency_p50_ns": quantity}))
    with pytest.raises(RecordError, match=r"layers\[0\]\.sparsity"):
        to_json(replace(good, layers=[{"sparsity": value}]))
    with pytest.raises(RecordError, match=r"samples\.latency_ns\[1\]"):
        to_json(replace(good, samples={"latency_ns": [1.0, value]}))


def test_values_that_are_not_plain_are_refused(make_record):
    with pytest.raises(RecordError, match="cannot be written"):
        to_json(make_record(layers=[{"weights": np.int64(3)}]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[1, 2]", "schema version None"),
        ('{"schema_version": 999}', "reads 1 to .* newer"),
        ('{"schema_version": true}', "schema version True"),
        ('{"schema_version": 1, "id": NaN}', "NaN is not a JSON number"),
        ('{"schema_version": 1}', r"submission: .*[Mm]issing|[Ff]ield required"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_files_that_are_no_records_say_why(text, message):
    with pytest.raises(RecordError, match=message):
        from_json(text, "store/x.json")
