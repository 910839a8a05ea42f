"""No parameter is lost on its way to MLflow, whatever it is called."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.views.mirror import RECORD_TAG, address, mirror
from harness.views.mirror_names import by_path, changed_names, mlflow_name

ODD = {
    "lr:head": 1,
    "lr_head": 2,
    "lr head": 3,
    "x//y": 4,
    "x/y": 5,
    "x/./y": 6,
    "..": 7,
    "/": 8,
    "": 9,
    "a": {"b": 10},
    "a.b": 11,
    "größe": 12,
    "größe!": 13,
    "l" * 300: 14,
    "l" * 299 + "m": 15,
    "none": {},
    "x/": 16,
    "LR_head": 17,
    "new\nline": 18,
}
KEYS = st.text(st.sampled_from("ab:_. /\\é-0"), max_size=6)
NESTED = st.recursive(st.integers(), lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=6), max_leaves=12)


@settings(deadline=None)
@given(st.dictionaries(KEYS, NESTED, max_size=8))
def test_names_are_one_to_one_and_taken_by_mlflow(values):
    from mlflow.utils.validation import _validate_param_name

    paths = by_path(values, ("config",))
    names = [mlflow_name(path) for path in paths]
    assert len(set(names)) == len(names)
    for name in names:
        _validate_param_name(name)
        assert len(name) <= 250


def test_a_name_that_looks_like_a_changed_one_is_changed_too():
    changed = mlflow_name(("config", "lr:head"))
    assert mlflow_name(("config", changed.removeprefix("config."))) != changed
    assert changed.startswith("config.lr_head-") and mlflow_name(("config", "lr_head")) == "config.lr_head"
    assert changed_names({"lr:head": 1, "lr_head": 2}, ("config",)) == {changed: ["config", "lr:head"]}


def test_mlflow_holds_every_parameter(make_record, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    record = make_record(parameters=ODD)
    assert mirror([record], tmp_path).made == 1
    client = MlflowClient(address(tmp_path))
    runs = client.search_runs([client.get_experiment_by_name(record.task).experiment_id])
    run = next(run for run in runs if RECORD_TAG in run.data.tags)
    there = {name: value for name, value in run.data.params.items() if name.startswith("config")}
    assert sorted(there.values()) == sorted(["{}", *(str(n) for n in range(1, 19))])
    assert there["config.lr_head"] == "2" and there["config.a.b"] == "10" and there["config.größe"] == "12"
