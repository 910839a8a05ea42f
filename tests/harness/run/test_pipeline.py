"""A record says what the stages did, by which methodology, and how the target was set up."""

from __future__ import annotations

import json

import pytest

from harness.entries.loading import load_submission
from harness.run.pipeline import run
from harness.run.values import Request
from harness.store.methodology import METHODOLOGY
from harness.store.store import Store
from harness.tasks import load_task


@pytest.mark.slow
def test_a_record_bears_the_methodology_of_the_stage_that_measured_it(counting_target, tmp_path):
    class Configured(counting_target):
        def configuration(self):
            return {"threads": 2}

    store = Store(tmp_path)
    request = Request(load_task("digits_mlp"), load_submission("dense", {}), (Configured(),))
    (record,) = run(request, store).records
    assert record.verdict == "valid"
    assert record.methodology == METHODOLOGY and record.target_configuration == {"threads": 2}
    (stage,) = (tmp_path / "measure").glob("*/stage.json")
    before = {name: value for name, value in json.loads(stage.read_text()).items() if name != "methodology"}
    stage.write_text(json.dumps(before))
    store.record_path(record.id).unlink()
    (again,) = run(request, store).records
    assert again.id == record.id and again.methodology == 1, "what was measured before is not called new"
