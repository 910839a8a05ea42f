"""Command-line overrides, checked before Hydra sees them: a typo gets the nearest names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from harness.names import UnknownNameError, UsageError

CONF = Path(__file__).resolve().parent.parent / "conf"
OPEN_KEYS = ("params", "target")  # checked later, by the entry and the target that they belong to


def check_overrides(
    overrides: Sequence[str],
    config_name: str,
    choices: Mapping[str, Callable[[], Iterable[str]]],
    parameters: Iterable[str] = (),
) -> list[str]:
    """Check keys, and the values of the keys in `choices`; return the overrides as Hydra wants them.

    A key in `parameters` may be written without its `params.`, unless the configuration has it too.

    Args:
        config_name: a file of `harness/conf`, without its ending.
        choices: key → the names that it may have. For a sweep, each value is checked.

    Raises:
        UsageError: not of the form key=value, or a value that does not parse.
        UnknownNameError: a key or a name that does not exist; the message names the nearest.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise UsageError(f"{text!r} is no override; write key=value, for instance task=cifar10_resnet20.")
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise UsageError(f"{error.override!r} cannot be parsed: {error.message or error}".splitlines()[0]) from error
    known = _known_keys(config_name)
    short = {name: None for name in parameters if name not in known}
    for override in parsed:
        key = override.key_or_group
        if key.split(".")[0] != "hydra" and "/" not in key:
            _check_key(key, {**known, **short})
            if key in choices:
                _check_names(key, _values(override), choices[key]())
    return [_opened(f"params.{text}" if re.split(r"[.=]", text)[0] in short else text) for text in overrides]


def _known_keys(config_name: str) -> dict[str, Any]:
    import yaml

    from harness.tasks.task import Task

    tree = yaml.safe_load((CONF / f"{config_name}.yaml").read_text())
    for default in tree.pop("defaults"):
        if isinstance(default, dict) and (name := next(iter(default))) and not name.startswith("override"):
            tree[name] = (
                _fields(Task) if name == "task" else yaml.safe_load((CONF / name / f"{default[name]}.yaml").read_text())
            )
    return tree


def _fields(schema: Any) -> dict[str, Any]:
    """Field → None, or the fields below it: what a task may set, whether or not its file does."""
    hints = get_type_hints(schema)
    return {
        field.name: _fields(hints[field.name]) if is_dataclass(hints[field.name]) else None for field in fields(schema)
    }


def _check_key(key: str, tree: Any) -> None:
    before = ""
    for part in key.split("."):
        if before in OPEN_KEYS or not isinstance(tree, dict):
            return
        if part not in tree:
            raise UnknownNameError(f"key in {before}" if before else "key", part, tree)
        tree, before = tree[part], f"{before}.{part}" if before else part


def _values(override: Any) -> list[Any]:
    if override.is_sweep_override():
        return [_plain(v) for v in override.sweep_iterator()]
    return [override.value()]


def _plain(value: Any) -> Any:
    """A sweep's values come as text: a list is read again."""
    import yaml

    return yaml.safe_load(value) if isinstance(value, str) else value


def _check_names(key: str, values: Iterable[Any], known: Iterable[str]) -> None:
    known = sorted(known)
    for value in values:
        if key == "targets" and not isinstance(value, list):
            raise UsageError(f"targets is a list: write 'targets=[{value}]'.")
        for name in value if isinstance(value, list) else [value]:
            if str(name) not in known:
                raise UnknownNameError(key.removesuffix("s"), str(name), known)


def _opened(text: str) -> str:
    """Let `params.x=1` and `task.recipe.clip_norm=1` set a key that the file does not list."""
    return f"++{text}" if text.split(".")[0] in OPEN_KEYS or text.startswith("task.") else text
