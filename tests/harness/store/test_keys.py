"""Which change makes which stage stale: a table of files, and what their change must reach."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness.entries.loading import load_submission, submission_names
from harness.store import code, keys
from harness.store.keys import compress_key, reference_key, stage_key, study_parts, target_keys
from harness.store.sources import REPOSITORY, Tree
from harness.tasks import load_task, task_names
from hw_targets.registry import make_target, target_names
from studies import STUDIES

TREE = Tree()
DIGITS, CIFAR = load_task("digits_mlp"), load_task("cifar10_resnet20")


def _compress(name: str, task=DIGITS) -> Callable[[Tree], str]:
    return lambda tree: compress_key(task, "weights", load_submission(name), 0, tree)


def _target(stage: str, name: str, task=DIGITS) -> Callable[[Tree], str]:
    given = {"model": "model", "dense": "dense", "effort": "quick", "repeat": 0}
    return lambda tree: asdict(target_keys(task, make_target(name), **given, tree=tree))[stage]


def _study(name: str, *, measures: bool = False) -> Callable[[Tree], str]:
    return lambda tree: stage_key(study_parts(f"studies.{name}", DIGITS, "weights", measures=measures, tree=tree))


STAGES: Mapping[str, Callable[[Tree], str]] = {
    "reference:digits": lambda tree: reference_key(DIGITS, "weights", tree),
    "reference:cifar10": lambda tree: reference_key(CIFAR, "weights", tree),
    "compress:dense": _compress("dense"),
    "compress:magnitude": _compress("magnitude"),
    "compress:kernel_patterns": _compress("kernel_patterns", CIFAR),
    "compress:netadapt": _compress("netadapt", CIFAR),
    "judge:cpu": _target("judge", "cpu"),
    "judge:eie": _target("judge", "eie", CIFAR),
    "measure:cpu": _target("measure", "cpu"),
    "measure:eie": _target("measure", "eie", CIFAR),
    "study:speed": _study("speed", measures=True),
    "study:criteria": _study("criteria"),
}
REFERENCES = {"reference:digits", "reference:cifar10"}
PRUNING = {"compress:magnitude", "compress:kernel_patterns", "compress:netadapt"}
COMPRESS = {"compress:dense"} | PRUNING
JUDGE, MEASURE = {"judge:cpu", "judge:eie"}, {"measure:cpu", "measure:eie"}
ON_TARGET = JUDGE | MEASURE
STUDY = {"study:speed", "study:criteria"}
ON_CIFAR = {"reference:cifar10", "compress:kernel_patterns", "compress:netadapt", "judge:eie", "measure:eie"}
TIMED = {"compress:netadapt", "judge:cpu", "measure:cpu", "study:speed"}

# File → the stages that a change of its code makes stale; a change of anything else in it, none.
STALE: Mapping[str, set[str]] = {
    "pruning/granularity/patterns.py": PRUNING | STUDY,
    "pruning/criteria/second_order.py": PRUNING | STUDY,
    "pruning/quantise/storage.py": {"study:speed"},
    "pruning/shrinking/folding.py": {"compress:netadapt"} | STUDY,
    "pruning/pipeline.py": set(),
    "submissions/dense/submission.py": {"compress:dense"},
    "submissions/magnitude/submission.py": {"compress:magnitude"},
    "harness/training/loop.py": COMPRESS | STUDY,
    "harness/training/accuracy.py": COMPRESS | STUDY,
    "harness/references/train.py": set(),
    "harness/data/digits.py": {"compress:dense", "compress:magnitude", "judge:cpu", "measure:cpu"} | STUDY,
    "harness/data/cifar10.py": ON_CIFAR - REFERENCES,
    "harness/data/__init__.py": COMPRESS | ON_TARGET | STUDY,
    "harness/models/mlp.py": {"reference:digits", "compress:dense", "compress:magnitude"} | STUDY,
    "harness/models/resnet_cifar.py": ON_CIFAR - ON_TARGET,
    "harness/models/__init__.py": REFERENCES | COMPRESS | STUDY,
    "harness/entries/worker.py": COMPRESS,
    "harness/run/compressing.py": COMPRESS,
    "harness/entries/process.py": COMPRESS,
    "harness/entries/context.py": COMPRESS | STUDY,
    "harness/entries/export.py": REFERENCES | COMPRESS | STUDY,
    "harness/run/dense.py": REFERENCES,
    "harness/run/reference.py": set(),
    "harness/references/load.py": REFERENCES | COMPRESS | STUDY,
    "harness/run/judging.py": JUDGE,
    "harness/run/measuring.py": MEASURE,
    "harness/entries/admit.py": JUDGE,
    "harness/run/evaluate.py": JUDGE,
    "harness/store/quality.py": JUDGE,
    "hw_targets/registry.py": {"compress:netadapt"} | ON_TARGET,
    "hw_targets/cpu/settings.py": TIMED,
    "hw_targets/measuring/process.py": TIMED,
    "hw_targets/cpu/runner.py": TIMED,
    "hw_targets/eie/timing.py": {"compress:netadapt", "judge:eie", "measure:eie"},
    "hw_targets/graph/trace.py": {"compress:netadapt", "study:speed"} | ON_TARGET,
    "hw_targets/technology.yaml": {"compress:netadapt", "study:speed"} | ON_TARGET,
    "studies/speed.py": {"study:speed"},
    "studies/criteria.py": {"study:criteria"},
    "studies/lab.py": STUDY,
    "studies/__init__.py": set(),
    "studies/plots.py": set(),
    "studies/comparing.py": set(),
    "studies/runner.py": set(),
    "harness/store/records.py": set(),
    "harness/store/store.py": set(),
    "harness/store/keys.py": set(),
    "harness/store/code.py": set(),
    "harness/store/sources.py": set(),
    "harness/store/syntax.py": set(),
    "harness/references/find.py": set(),
    "harness/entries/loading.py": set(),
    "harness/views/formatting.py": set(),
    "harness/store/methodology.py": MEASURE,
    "harness/views/compare.py": set(),
    "harness/run/pipeline.py": set(),
    "harness/views/report/page.py": set(),
    "harness/views/report/page.html.j2": set(),
    "harness/cli/run.py": set(),
    "harness/conf/run.yaml": set(),
}


KINDS: Mapping[str, Callable[[str], str]] = {
    "comment": lambda text: f"# before\n{text}\n# after\n",
    "docstring": lambda text: text.replace('"""', '"""Said otherwise. ', 1),
    "layout": lambda text: ast.unparse(ast.parse(text)),
}


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return {name: key(replace(TREE)) for name, key in STAGES.items()}


def stale(before: Mapping[str, str], file: str, text: str) -> set[str]:
    """The stages whose key is another when `file` holds `text`."""
    changed = REPOSITORY / file
    assert changed.is_file()
    tree = replace(TREE, read=lambda path: text.encode() if path == changed else path.read_bytes())
    return {name for name, key in STAGES.items() if key(tree) != before[name]}


@pytest.mark.parametrize("file", STALE)
def test_code_makes_stale_what_can_run_it(file: str, before: dict[str, str]) -> None:
    text = (REPOSITORY / file).read_text()
    more = {".py": "\nADDED = 1\n", ".yaml": "\nadded: 1\n"}.get(Path(file).suffix, "\n<p>added</p>\n")
    assert stale(before, file, text + more) == STALE[file]


@pytest.mark.parametrize("kind", KINDS)
def test_comments_docstrings_and_layout_make_nothing_stale(kind: str, before: dict[str, str]) -> None:
    changed = {}
    for file in STALE:
        if file.endswith(".py"):
            text = (REPOSITORY / file).read_text()
            changed[REPOSITORY / file] = KINDS[kind](text)
            assert changed[REPOSITORY / file] != text
    tree = replace(TREE, read=lambda path: changed[path].encode() if path in changed else path.read_bytes())
    assert {name: key(tree) for name, key in STAGES.items()} == before


def test_a_comment_in_yaml_makes_nothing_stale(before: dict[str, str]) -> None:
    file = "hw_targets/technology.yaml"
    assert stale(before, file, f"# said\n{(REPOSITORY / file).read_text()}") == set()


def test_a_submission_from_elsewhere_counts_with_all_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    returns = "class Submission:\n    def compress(self, model, context):\n        return model\n"
    for name, text in {
        "submission.py": f"import helper, torch\n\n{returns}",
        "helper.py": "import pruning.mask\n",
        "table.bin": "1",
        "config.yaml": "sparsity: 0.5\n",
        "README.md": "words",
    }.items():
        (folder / name).write_text(text)
    entry = load_submission("mine", {}, tmp_path)
    tree = TREE
    found = code.compress_sources(DIGITS, entry, tree)
    assert "pruning.mask" in found.digests and "helper" not in found.libraries and "torch" in found.libraries

    def key(**changes: str) -> str:
        changed = {folder / name.replace("__", "."): text.encode() for name, text in changes.items()}
        read: Callable[[Path], bytes] = lambda path: changed.get(path) or path.read_bytes()  # noqa: E731
        return compress_key(DIGITS, "weights", entry, 0, replace(TREE, read=read))

    same = key()
    assert key(helper__py="# said\nimport pruning.mask\n") == key(README__md="other words") == same
    others = (
        key(helper__py="import pruning.layers\n"),
        key(table__bin="2"),
        key(config__yaml="sparsity: 0.6\n"),
        key(helper__py="import pruning.mask, timm\n"),
    )
    assert len({same, *others}) == 5
    (folder / "more.py").write_text("")
    assert key() != same


def test_libraries_belong_to_all_and_the_machine_to_what_is_timed(
    before: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed() -> set[str]:
        return {name for name, key in STAGES.items() if key(replace(TREE)) != before[name]}

    with monkeypatch.context() as patched:
        patched.setattr(code, "library_versions", lambda: {"torch": "0"})
        assert changed() == set(STAGES)
    with monkeypatch.context() as patched:
        version = code.library_version
        patched.setattr(code, "library_version", lambda name: "0" if name == "numba" else version(name))
        assert changed() == {"judge:eie", "measure:eie", "compress:netadapt"}
    monkeypatch.setattr(keys, "machine_fingerprint", lambda: "another")
    assert changed() == {"compress:netadapt", "study:speed"} | ON_TARGET


def test_every_library_that_a_stage_imports_has_a_version() -> None:
    tree = TREE
    closures = [code.reference_sources(task, tree) for task in map(load_task, task_names())]
    closures += [code.compress_sources(DIGITS, load_submission(name), tree) for name in submission_names()]
    closures += [code.judge_sources(CIFAR, make_target(name), tree) for name in target_names()]
    closures += [code.measure_sources(CIFAR, make_target(name), tree) for name in target_names()]
    closures += [code.study_sources(f"studies.{name}", DIGITS, tree) for name in STUDIES]
    optional = {"zeus", "transformers", "tokenizers"}
    missing = {name for found in closures for name in found.libraries if code.library_version(name) is None}
    assert missing <= optional


def test_values_belong_to_the_keys_of_the_stages_that_take_them() -> None:
    tree, dense = TREE, load_submission("dense")
    target = {"cpu": make_target("cpu"), "slow": make_target("cpu", {"optimisation": "basic"})}

    def parts(task=DIGITS, weights="weights", entry=dense, seed=0, model="m", effort="quick", repeat=0, on="cpu"):
        reference = "d" if weights == "weights" else "e"
        measured = {"model": model, "dense": reference, "target": target[on]}
        return {
            "reference": reference_key(task, weights, tree),
            "compress": compress_key(task, weights, entry, seed, tree),
            **asdict(target_keys(task, **measured, effort=effort, repeat=repeat, tree=tree)),
            "study": stage_key(study_parts("studies.criteria", task, weights, measures=False, tree=tree)),
        }

    same = parts()

    def stale(**changes) -> set[str]:
        return {name for name, key in parts(**changes).items() if key != same[name]}

    assert stale(weights="others") == set(same)
    assert stale(seed=1) == {"compress"}
    assert stale(entry=replace(dense, parameters={"a": 1})) == {"compress"}
    assert stale(model="n") == {"judge", "measure"}
    assert stale(effort="standard") == stale(repeat=1) == {"measure"}
    assert stale(on="slow") == {"judge", "measure", "answers"}
    longer = replace(DIGITS, recipe=replace(DIGITS.recipe, epochs=DIGITS.recipe.epochs + 1))
    assert stale(task=longer) == {"compress", "judge", "answers", "study"}
    assert stale(task=replace(DIGITS, quality_ratio=0.5)) == {"judge", "answers"}
    assert stale(task=replace(DIGITS, title="Other words", notes="Other words.")) == set()
