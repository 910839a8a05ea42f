from __future__ import annotations

import subprocess
import sys

import pytest

from hw_targets.registry import make_target, target_names
from hw_targets.target import Available


@pytest.mark.parametrize("name", target_names())
def test_every_target_can_be_made_and_says_whether_it_is_available(name):
    target = make_target(name)
    assert target.name == name
    found = target.availability()
    assert found.detail if isinstance(found, Available) else found.reason


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cpuu", {}, "Did you mean cpu"),
        ("cpu", {"intra_thread": 1}, "Did you mean intra_threads"),
        ("cpu", {"intra_threads": -1}, "at least 0"),
        ("cpu", {"intra_threads": True}, "must be an integer"),
        ("cpu", {"optimisation": "most"}, "must be one of"),
    ],
)
def test_bad_names_and_options_say_what_to_do(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_target(name, options)


def test_the_table_loads_nothing_heavy():
    code = "import sys, hw_targets.registry; print({'onnxruntime', 'torch', 'mlperf_loadgen'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
