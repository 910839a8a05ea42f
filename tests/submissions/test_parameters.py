"""Every submission refuses nonsense of every parameter before any work, and takes its own defaults."""

from __future__ import annotations

import json
import math
import sys

import pytest

from harness.entries.loading import load_submission, submission_names
from harness.entries.worker import Job, check_job
from harness.run.preparing import check_parameters
from harness.tasks import load_task
from harness.util.names import UsageError

EVERY = [(name, key) for name in submission_names() for key in load_submission(name).parameters]


def nonsense(default):
    """Values that a parameter with this default can never have."""
    always = [math.nan, math.inf, -math.inf]
    if isinstance(default, bool):
        return [*always, 2, "maybe"]
    if isinstance(default, (int, float)):
        return [*always, "many", None, True, -1, [1]]
    if isinstance(default, str):
        return [*always, 3, None, ["a"]]
    if isinstance(default, dict):
        return [*always, 3, "none", None]
    return [*always, {"a": 1}]


@pytest.mark.parametrize(("name", "key"), EVERY)
def test_nonsense_ends_as_wrong_usage(name, key):
    for value in nonsense(load_submission(name).parameters[key]):
        with pytest.raises(UsageError, match=key):
            load_submission(name, {key: value})


SHARES = [(name, key) for name, key in EVERY if key in ("sparsity", "max_sparsity", "macs_removed", "latency_removed")]


@pytest.mark.parametrize(("name", "key"), [*SHARES, ("kernel_patterns", "connectivity"), ("rigl", "fraction")])
def test_shares_lie_within_0_and_1(name, key):
    for value in (1.5, -0.01, 100):
        with pytest.raises(UsageError, match=f"{key}={value} is out of its limits"):
            load_submission(name, {key: value})
    load_submission(name, {key: 0.1})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("nm_2to4", {"n": 5}),
        ("lottery_ticket", {"control": "shufled"}),
        ("optimal_brain_damage", {"estimate": "gauss"}),
        ("deep_compression", {"bits_conv": 9}),
        ("int8", {"bits": 16}),
        ("qat", {"bits": 1}),
        ("kernel_patterns", {"entries": 10}),
        ("gradual", {"end": 1.5}),
        ("sensitivity", {"sparsity": 0.95}),
    ],
)
def test_what_only_this_entry_limits(name, wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        load_submission(name, wrong)


GOOD = {"sparsity": 0.5}
CHOICES = [
    ({"criterion": "magnitud"}, "Did you mean magnitude"),
    ({"granularity": "nope"}, "granularity"),
    ({"ratio": "globl"}, "Did you mean global"),
    ({"schedule": "nope"}, "schedule"),
    ({"recovery": "nope"}, "recovery"),
    ({"penalty": "l3"}, "penalty"),
    ({"quantise": "int9"}, "quantise"),
    ({"sparsity": None}, "sparsity is not set"),
    ({"layers": "first"}, "layers"),
    ({"shrink": True}, "shrink"),
    ({"options": {"criterion": {"q": 1}}}, "criterion=magnitude does not take"),
    ({"options": {"schedule": {"step": 1}}}, "no option 'step'"),
    ({"schedule": "iterative", "options": {"schedule": {"steps": "many"}}}, "steps"),
    ({"schedule": "iterative", "options": {"schedule": {"steps": True}}}, "steps"),
]


def compose(wrong):
    entry = load_submission("compose", {**GOOD, **wrong})
    return Job({}, "", "compose", str(entry.folder), json.loads(json.dumps(dict(entry.parameters))), 0, "", 60.0, True)


@pytest.mark.parametrize(("wrong", "message"), CHOICES)
def test_choices_that_make_no_sense_are_refused_without_data_or_model(wrong, message, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    result = check_job(compose(wrong))
    assert result.usage is not None and message in result.usage


def test_good_choices_pass_and_entries_without_a_check_start_no_process(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert check_job(compose({})).usage is None
    monkeypatch.setattr("subprocess.Popen", None)
    check_parameters(load_task("digits_mlp"), load_submission("magnitude"), 0)


def test_the_check_is_in_a_process_of_its_own(tmp_path):
    task = load_task("digits_mlp")
    with pytest.raises(UsageError, match=r"compose: .*Did you mean magnitude"):
        check_parameters(task, load_submission("compose", {**GOOD, "criterion": "magnitud"}), 0)
    (tmp_path / "mine").mkdir()
    code = "class Submission:\n    def check(self, config):\n        raise RuntimeError('oh')\n"
    (tmp_path / "mine" / "submission.py").write_text(code)
    with pytest.raises(UsageError, match="RuntimeError: oh"):
        check_parameters(task, load_submission("mine", None, tmp_path), 0)
