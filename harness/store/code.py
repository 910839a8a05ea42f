"""What code a stage can run: what its key holds of our sources and of the libraries.

Two kinds of import are not followed, and tests hold that this is right: those of modules whose part is
in the key already or shows only (`SETTLED`), and those by which a module that offers several ways
(`_offered`) comes to the ways that are not gone here.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import MODULES, data_root
from harness.models import BUILDERS
from harness.store.sources import NO_FILES, Closure, Cut, Tree, loose_digest, sources_below
from harness.store.syntax import reaches
from harness.util.environment import library_version, library_versions
from harness.util.names import pick
from hw_targets.registry import TARGETS

if TYPE_CHECKING:
    from harness.entries.loading import SubmissionFolder
    from harness.tasks.task import Task
    from hw_targets.target import Target

REGISTRY, CONTEXT = "hw_targets.registry", "harness.entries.context"
TIMING = (REGISTRY, *(f"hw_targets.{name}" for name in TARGETS))  # what `context.latency` can come to
# Module → why a stage does not depend on its code, though it imports it.
SETTLED: Mapping[str, str] = {
    "harness.store.keys": "names the stage",
    "harness.store.code": "names the stage",
    "harness.store.sources": "names the stage",
    "harness.store.syntax": "names the stage",
    "harness.store.store": "keeps what the stage gives",
    "harness.references.find": "finds the weights; their hash is in the key",
    "harness.references.obtain": "makes or fetches the weights; their hash is in the key",
    "harness.run.reference": "obtains the weights; their hash is in the key",
    "harness.entries.loading": "finds the submission; its files and parameters are in the key",
    "studies": "lists the studies",
    "studies.plots": "draws what was found, anew from the numbers",
    "studies.comparing": "words what was found, anew from the numbers",
}


@cache
def installed() -> Tree:
    """The packages as they are here, read once in a process."""
    reader = hashlib.sha256(Path(__file__).with_name("syntax.py").read_bytes()).hexdigest()[:12]
    return Tree(memory=data_root() / "sources" / f"{reader}-{'.'.join(platform.python_version_tuple()[:2])}.json")


def reference_sources(task: Task, tree: Tree) -> Closure:
    return tree.closure(["harness.run.dense"], cut=_cut(_ways(task)))


def compress_sources(task: Task, submission: SubmissionFolder, tree: Tree) -> Closure:
    """The submission's own files, what they import, and what the worker does; what can time, if it asks for that."""
    own = {path.relative_to(submission.folder).as_posix(): path for path in sources_below(submission.folder)}
    files = {f"{submission.folder.name}/{name}": path for name, path in own.items()}
    ways = [*_ways(task), *(TIMING if asks_for_latency(submission, tree) else ())]
    found = tree.closure(["harness.run.compressing"], files, _cut(ways))
    beside = {name.partition("/")[0].removesuffix(".py") for name in own}
    return replace(found, libraries=found.libraries - beside)


def judge_sources(task: Task, target: Target, tree: Tree) -> Closure:
    return _target_sources("harness.run.judging", task, target, tree)


def measure_sources(task: Task, target: Target, tree: Tree) -> Closure:
    return _target_sources("harness.run.measuring", task, target, tree)


def _target_sources(stage: str, task: Task, target: Target, tree: Tree) -> Closure:
    """What a stage and its target can do; a target that is not one of ours is one file."""
    module, own = type(target).__module__, f"hw_targets.{target.name}"
    elsewhere = getattr(sys.modules.get(module), "__file__", None) if tree.path_of(module) is None else None
    files = {f"target/{module}": Path(elsewhere)} if elsewhere else NO_FILES
    return tree.closure([stage, REGISTRY, module], files, _cut([*_ways(task), own]))


def study_sources(module: str, task: Task, tree: Tree) -> Closure:
    """What the study's cells do; what can time, if the study names `latency`."""
    found = tree.closure([module], cut=_cut(_ways(task)))
    if any(name.startswith("studies.") and "latency" in words for name, words in found.words.items()):
        return tree.closure([module], cut=_cut([*_ways(task), *TIMING]))
    return found


def asks_for_latency(submission: SubmissionFolder, tree: Tree) -> bool:
    """Whether `compress` can call `context.latency`: where that cannot be ruled out, it can."""
    files = [path for path in sources_below(submission.folder) if path.suffix == ".py"]
    answers = [reaches("latency", through="compress", content=tree.read(path)) for path in files]
    return any(answers) or all(answer is None for answer in answers)


def parts_of(sources: Closure) -> dict[str, Any]:
    """What a key holds of `sources`."""
    libraries = {name: library_version(name) or loose_digest(name) for name in sorted(sources.libraries)}
    return {"sources": sources.digest(), "versions": library_versions(), "libraries": libraries}


def _ways(task: Task) -> list[str]:
    """The modules of the task's own data set and network."""
    return [pick("data set", task.dataset, MODULES), pick("model", task.model, BUILDERS).partition(":")[0]]


@cache
def _offered() -> Mapping[str, Iterable[str]]:
    """Module → the modules (or packages) of which it imports only those that it is asked for."""
    models = {place.partition(":")[0] for place in BUILDERS.values()}
    return {
        "harness.data": list(MODULES.values()),
        "harness.models": models,
        "harness.references.load": models,
        REGISTRY: TIMING[1:],
        CONTEXT: [REGISTRY],
    }


def _cut(chosen: Iterable[str]) -> Cut:
    ways = tuple(chosen)

    def cut(importer: str, imported: str) -> bool:
        if imported in SETTLED:
            return True
        offered = any(_within(imported, way) for way in _offered().get(importer, ()))
        return offered and not any(_within(imported, way) for way in ways)

    return cut


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
