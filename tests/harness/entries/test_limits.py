"""Parameters are held against their limits before any work."""

from __future__ import annotations

import math

import pytest

from harness.entries.limits import check_parameters
from harness.entries.loading import load_submission
from harness.util.names import UsageError

DEFAULTS = {
    "sparsity": 0.5,
    "epochs": 2,
    "n": 2,
    "m": 4,
    "rate": 0.1,
    "distil": True,
    "control": "none",
    "layers": None,
    "bits": [4, 8],
    "options": {"p": 2.0},
    "percentile": 100,
    "keep_fraction": 1,
}
LIMITS = {
    "n": {"minimum": 1, "maximum": "m"},
    "rate": {"exclusiveMinimum": 0},
    "control": {"enum": ["none", "shuffled"]},
    "percentile": {"type": "number", "exclusiveMinimum": 50, "maximum": 100},
    "layers": {"type": ["array", "null"]},
}


def check(**changed):
    check_parameters("mine", DEFAULTS, {**DEFAULTS, **changed}, LIMITS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sparsity": math.nan}, "sparsity=nan is no finite number"),
        ({"rate": math.inf}, "rate=inf is no finite number"),
        ({"options": {"p": -math.inf}}, r"options\.p=-inf"),
        ({"bits": [4, math.nan]}, "bits=nan"),
        ({"layers": [math.inf]}, "layers=inf"),
        ({"sparsity": 1.5}, "sparsity=1.5 is out of its limits: it must be at least 0 and at most 1"),
        ({"sparsity": -0.1}, "out of its limits"),
        ({"keep_fraction": 2}, "at most 1"),
        ({"epochs": -1}, "epochs=-1"),
        ({"epochs": 1.5}, "epochs=1.5 must be a whole number"),
        ({"epochs": True}, "epochs=true must be a whole number"),
        ({"sparsity": "half"}, "sparsity=half must be a number"),
        ({"sparsity": None}, "sparsity=null must be a number"),
        ({"sparsity": [0.5]}, "must be a number"),
        ({"n": 5}, "at most m=4"),
        ({"n": 0}, "at least 1"),
        ({"rate": 0.0}, "above 0"),
        ({"distil": 1}, "distil=1 must be true or false"),
        ({"control": "shufled"}, "Did you mean shuffled"),
        ({"control": 3}, "control=3 must be a word"),
        ({"layers": "all"}, "layers=all must be a list"),
        ({"options": 3}, "options=3 must be a mapping"),
        ({"percentile": 50}, "above 50 and at most 100"),
    ],
)
def test_nonsense_is_refused_with_what_may_be(changed, message):
    with pytest.raises(UsageError, match=f"^mine: .*{message}|{message}"):
        check(**changed)


def test_what_makes_sense_passes():
    check(sparsity=0, epochs=0, n=4, percentile=99.9, layers=["a"], options={"p": 1}, bits=[], keep_fraction=0.25)
    check_parameters("mine", {"rate": 1}, {"rate": 3}, {})


def test_wrong_limits_are_said():
    with pytest.raises(UsageError, match="no parameter in config"):
        check_parameters("mine", {}, {}, {"a": {"minimum": 0}})
    with pytest.raises(UsageError, match="Did you mean minimum"):
        check_parameters("mine", {"a": 1}, {"a": 1}, {"a": {"minimom": 0}})
    with pytest.raises(UsageError, match="a mapping"):
        check_parameters("mine", {"a": 1}, {"a": 1}, {"a": 3})
    with pytest.raises(UsageError, match="Did you mean integer"):
        check_parameters("mine", {"a": 1}, {"a": 1}, {"a": {"type": "intejer"}})


def test_an_entry_is_checked_where_it_is_loaded(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "submission.py").write_text("class Submission: ...\n")
    (folder / "config.yaml").write_text("temperature: 4.0\nsparsity: 0.5\n")
    with pytest.raises(UsageError, match="sparsity=2"):
        load_submission("mine", {"sparsity": 2}, tmp_path)
    assert load_submission("mine", {"temperature": 0.0}, tmp_path).parameters["temperature"] == 0
    (folder / "limits.yaml").write_text("temperature: {exclusiveMinimum: 0}\n")
    with pytest.raises(UsageError, match=r"temperature=0\.0 is out of its limits: it must be above 0"):
        load_submission("mine", {"temperature": 0.0}, tmp_path)
