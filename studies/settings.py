"""What is typed after `openprune study NAME`: key=value in Hydra's grammar, checked before anything is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.cli.overrides import parse_overrides
from harness.tasks import task_names
from harness.util.names import UnknownNameError, UsageError
from studies.study import Study

DEFAULT_TASK = "mnist_lenet300"


@dataclass(frozen=True)
class Chosen:
    """What a study is run with.

    Attributes:
        seeds: empty where none are named.
        settings: all of the study's, for this task.
    """

    task: str
    seeds: list[int]
    settings: dict[str, Any]


def chosen(study: Study, overrides: Sequence[str]) -> Chosen:
    """The study's task, seeds and settings, with `overrides` (`task=NAME`, `seeds=[0,1]`, `KEY=VALUE`) put in.

    Raises:
        UsageError: an override that does not parse, or a value of another kind than the default's.
        UnknownNameError: a key or a task that there is not; the message names the nearest.
    """
    given = values_of(overrides)
    task = given.pop("task", DEFAULT_TASK)
    if task not in task_names():
        raise UnknownNameError("task", str(task), task_names())
    seeds = seeds_of(given.pop("seeds", None))
    settings = study.settings_for(task)
    for key, value in given.items():
        if key not in settings:
            raise UnknownNameError(f"setting of {study.name}", key, ["task", "seeds", *settings])
        settings[key] = _of_kind(key, value, settings[key])
    return Chosen(task, seeds, settings)


def values_of(overrides: Sequence[str]) -> dict[str, Any]:
    """Key → value.

    Raises:
        UsageError: an override that does not parse, sweeps, adds or deletes, or a key that is set twice.
    """
    values: dict[str, Any] = {}
    for text, override in zip(overrides, parse_overrides(overrides), strict=True):
        key = override.key_or_group
        if override.is_sweep_override():
            listed = text.partition("=")[2]
            hint = f": write '{key}=[{listed}]'" if override.is_choice_sweep() and "(" not in listed else ""
            raise UsageError(f"{text}: a study is not swept, but takes lists{hint}.")
        if override.is_delete() or override.is_add() or override.is_force_add():
            raise UsageError(f"{text}: the keys of a study are fixed; write {key}=VALUE.")
        if key in values:
            raise UsageError(f"{text}: {key} is set twice.")
        values[key] = override.value()
    return values


def seeds_of(value: Any) -> list[int]:
    """The seeds in `seeds=…`; none of None.

    Raises:
        UsageError: not a list of different whole numbers, 0 or more.
    """
    if value is None:
        return []
    seeds: list[int] = _of_kind("seeds", value, [0, 1, 2])
    if min(seeds) < 0:
        raise UsageError(f"seeds={seeds}: seeds are whole numbers, 0 or more.")
    return seeds


def _of_kind(key: str, value: Any, default: Any) -> Any:
    """`value`, if it is of the default's kind; of a list, each of its values.

    Raises:
        UsageError: it is not, or a list is empty or names a value twice.
    """
    if not isinstance(default, list):
        return _single(key, value, default)
    if not isinstance(value, list):
        raise UsageError(f"{key}={value}: {key} takes a list: write '{key}=[{value}]'.")
    read = [_single(key, each, default[0]) for each in value] if default else value
    if default and not read:
        raise UsageError(f"{key}=[]: name at least one value, such as {key}={default}.")
    twice = [each for place, each in enumerate(read) if each in read[:place]]
    if twice:
        raise UsageError(f"{key}={read}: {twice[0]} is named twice.")
    return read


def _single(key: str, value: Any, default: Any) -> Any:
    kind = type(default)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UsageError(f"{key}={value}: {key} takes a value of type {kind.__name__}, such as {default!r}.")
    return value
