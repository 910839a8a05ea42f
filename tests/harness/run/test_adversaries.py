"""Entries that must fail, each by the rule that it breaks; and none takes the harness with it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from harness.util.names import UsageError
from hw_targets.target import ModelRefused, TargetError, Unavailable

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "rule", "says"),
    [
        ("raises", "entry_raised", "ZeroDivisionError: the submission's own mistake"),
        ("exits", "entry_crashed", "exit code 0"),
        ("crashes", "entry_crashed", "SIGSEGV"),
        ("nan_weights", "not_finite", "NaN"),
        ("nan_outputs", "not_finite", "outputs"),
        ("wrong_classes", "wrong_output", "9"),
        ("not_a_model", "wrong_return", "dict"),
        ("batch_dependent", "batch_dependent", "In a batch of 1 "),
        ("batch_dependent_ranges", "batch_dependent", "than ranges found at run time explain"),
        ("cannot_export", "not_exportable", "linalg_eig"),
        ("too_pruned", "quality_target", "0.1"),
    ],
)
def test_the_rule_is_named(adversary, name, rule, says):
    record = adversary(name)
    assert (record.verdict, record.failure.rule) == ("invalid", rule)
    assert says in record.failure.message
    if rule == "entry_raised":
        assert "Traceback" in record.failure.detail and "submission.py" in record.failure.detail


def test_parameters_that_the_entry_refuses_are_wrong_usage(adversary):
    with pytest.raises(UsageError, match=r"misconfigured: sparsity=1\.5 removes more than there is"):
        adversary("misconfigured")


def test_a_hanging_entry_is_ended_with_all_its_children(adversary, monkeypatch):
    monkeypatch.setattr("harness.entries.process.START_ALLOWANCE_S", 8.0)
    record = adversary("hangs", limit_s=2)
    assert (record.verdict, record.failure.rule) == ("invalid", "time_limit")
    child = int(re.search(r"child (\d+)", record.failure.detail).group(1))
    time.sleep(0.5)
    stat = Path(f"/proc/{child}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_the_test_set_is_out_of_reach(adversary):
    record = adversary("looks_for_the_test_set")
    assert record.verdict == "valid", record.failure
    assert record.quality.delta == 0 and record.quality.samples == 10_000
    assert record.quantities["nodes"].basis == "measured"


def test_a_target_that_refuses_while_it_measures_names_the_rule(adversary, counting_target):
    class Refusing(counting_target):
        def measure(self, *args):
            raise ModelRefused("no layer of it multiplies")

    record = adversary("looks_for_the_test_set", target=Refusing())
    assert (record.verdict, record.failure.rule) == ("invalid", "target_refuses")


def test_a_target_that_fails_is_the_harness_s_fault(adversary, counting_target):
    class Broken(counting_target):
        def measure(self, *args):
            raise TargetError("the printer is out of ink")

    class Missing(counting_target):
        def availability(self):
            return Unavailable("no such device")

    record = adversary("looks_for_the_test_set", target=Broken())
    assert (record.verdict, record.failure.rule) == ("error", "harness") and "out of ink" in record.failure.message
    record = adversary("looks_for_the_test_set", target=Missing())
    assert record.verdict == "error" and "not available here: no such device" in record.failure.message
