"""What stages really import and read is in their keys: real stages, watched in all their processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import source_from_cache
from pathlib import Path

import pytest

from harness.entries.loading import load_submission
from harness.store.code import (
    SETTLED,
    asks_for_latency,
    compress_sources,
    judge_sources,
    measure_sources,
    reference_sources,
)
from harness.store.sources import PACKAGES, REPOSITORY, Closure, Tree
from harness.tasks import load_task
from hw_targets.registry import make_target

# Each process, children too, notes the files that it opens, once it is told to.
WATCH = """
import os, sys
log = os.open(os.environ["OPENED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)) and os.environ.get("STAGE"):
        os.write(log, f"{os.environ['STAGE']} {os.fspath(arguments[0])}\\n".encode())
sys.addaudithook(note)
"""
PREPARE = """
import os, sys
from pathlib import Path
from harness.entries.loading import load_submission
from harness.run.reference import reference_file
from harness.store.store import Store
from harness.tasks import load_task
task, store = load_task("digits_mlp"), Store(Path(sys.argv[1]))
weights = reference_file(task)
"""
ASKING = """
from pruning.masking import make_mask
from pruning.ratios import Uniform


class Submission:
    def compress(self, model, context):
        assert context.latency(model) > 0 and context.latency(model, "eie") > 0
        mask = make_mask(model, criterion="magnitude", granularity="element", ratio=Uniform(0.2))
        return mask.apply_(context.train(model, epochs=1, mask=mask))
"""
COMPRESS = """
from harness.run.compressing import Delivered, compress
from harness.run.dense import dense_model
from harness.run.values import Prepared, Request
entries = load_submission("dense"), load_submission("asking", submission_dir=sys.argv[2])
os.environ["STAGE"] = "reference"
dense = dense_model(task, weights, store)
for entry in entries:
    os.environ["STAGE"] = entry.name
    done = compress(Request(task, entry, ()), Prepared(weights, entry.name, dense), store)
    assert isinstance(done, Delivered), done
"""
PAIR = """
from harness.run.dense import dense_model
from harness.run.values import Pair, Request
from hw_targets.registry import make_target
from harness.store.keys import TargetKeys
request, dense = Request(task, load_submission("dense"), ()), dense_model(task, weights, store)
def pair(name):
    return Pair(dense, dense, TargetKeys(f"answers-{name}", f"judge-{name}", f"measure-{name}"))
"""
JUDGE = """
from harness.run.judging import Judged, judge
os.environ["STAGE"] = "judge:eie"
assert isinstance(judge(request, make_target("eie"), pair("eie"), store), Judged)
"""
MEASURE = """
from harness.run.measuring import Measured, measure
for name in ("eie", "cpu"):
    os.environ["STAGE"] = f"measure:{name}"
    assert isinstance(measure(request, make_target(name), pair(name), store), Measured)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(scope="module")
def opened(folder: Path) -> dict[str, set[str]]:
    """Stage → modules imported (from their compiled files, too) and other files of ours that were opened."""
    (folder / "sitecustomize.py").write_text(WATCH)
    (folder / "asking").mkdir()
    (folder / "asking" / "submission.py").write_text(ASKING)
    log = folder / "opened"
    paths = os.pathsep.join([str(folder), str(REPOSITORY)])
    environment = {**os.environ, "PYTHONPATH": paths, "OPENED": str(log), "XDG_CACHE_HOME": str(folder / "cache")}
    for script in (COMPRESS, PAIR + JUDGE, PAIR + MEASURE):
        command = [sys.executable, "-P", "-c", PREPARE + script, str(folder / "store"), str(folder)]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, set[str]] = {}
    for stage, _, path in (line.partition(" ") for line in log.read_text().splitlines()):
        found.setdefault(stage, set()).update(_called(path))
    return found


def _called(path: str) -> list[str]:
    """The name in a closure of one of our files; nothing for any other."""
    file = Path(source_from_cache(path)) if path.endswith(".pyc") else Path(path)
    ours = any(file.is_relative_to(REPOSITORY / package) for package in PACKAGES)
    if not ours or not file.is_file() or file.parent.name == "__pycache__":  # numba's, made of the source
        return []
    if file.is_relative_to(REPOSITORY / "submissions"):
        return [file.relative_to(REPOSITORY / "submissions").as_posix()]
    inside = file.relative_to(REPOSITORY)
    if inside.suffix != ".py":
        return [inside.as_posix()]
    return [".".join(inside.with_suffix("").parts).removesuffix(".__init__")]


pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # torch is started four times, on a machine that may be busy
TASK = load_task("digits_mlp")
WEIGHTS = f"harness/references/shipped/{TASK.reference.weights}"  # its hash is in the key
DOOR = "pruning/__init__.pyi"  # where each name is from; the key has what the names that are asked for come to
# Stage → what its key holds, and some of what must have been seen for the test to mean anything.
STAGES: dict[str, tuple[Callable[[Tree, Path], Closure], set[str]]] = {
    "reference": (lambda tree, _: reference_sources(TASK, tree), {"harness.models.mlp", "harness.entries.export"}),
    "dense": (
        lambda tree, _: compress_sources(TASK, load_submission("dense"), tree),
        {"harness.entries.worker", "harness.training.loop", "harness.data.digits", "dense/submission.py"},
    ),
    "asking": (
        lambda tree, folder: compress_sources(TASK, load_submission("asking", submission_dir=folder), tree),
        {"pruning.criteria.taylor", "hw_targets.cpu.runner", "hw_targets.eie.timing", "hw_targets.registry"},
    ),
    "judge:eie": (
        lambda tree, _: judge_sources(TASK, make_target("eie"), tree),
        {"hw_targets.eie.session", "harness.run.evaluate", "harness.entries.admit"},
    ),
    "measure:cpu": (
        lambda tree, _: measure_sources(TASK, make_target("cpu"), tree),
        {"hw_targets.measuring.process", "hw_targets.measuring.loadgen", "hw_targets/technology.yaml"},
    ),
    "measure:eie": (
        lambda tree, _: measure_sources(TASK, make_target("eie"), tree),
        {"hw_targets.eie.timing", "hw_targets.graph.trace", "hw_targets/technology.yaml"},
    ),
}


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_imports_and_reads_is_in_its_key(stage: str, opened: dict[str, set[str]], folder: Path) -> None:
    sources, seen = STAGES[stage]
    assert seen <= opened[stage]
    assert opened[stage] - sources(Tree(), folder).digests.keys() - SETTLED.keys() <= {WEIGHTS, DOOR}


@pytest.mark.parametrize(
    ("name", "asks"), [("dense", False), ("magnitude", False), ("netadapt", True), ("compose", True)]
)
def test_who_asks_for_latency_is_known(name: str, asks: bool) -> None:
    assert asks_for_latency(load_submission(name), Tree()) == asks
