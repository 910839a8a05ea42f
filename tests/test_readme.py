"""What the README says of the tasks is what their files say."""

from __future__ import annotations

import re
from pathlib import Path

from harness.formatting import value_of
from harness.tasks import load_task, task_names

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_task_tables_are_true():
    rows = re.findall(r"^\| `(\w+)` \|(.+)\|$", README.read_text(), re.MULTILINE)
    told = {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows if name in task_names()}
    assert sorted(told) == task_names()
    for name, (_, reference, target, parameters, macs, *_) in told.items():
        task = load_task(name)
        assert reference.startswith(f"{task.reference.value:.2%}".replace("%", " %")), name
        assert target == f"{task.quality_target:.2%}".replace("%", " %"), name
        assert parameters == value_of("parameters", task.parameters), name
        assert macs == value_of("macs_dense", task.macs), name
