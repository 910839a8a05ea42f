"""Command-line overrides, checked before Hydra sees them: a typo gets the nearest names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from harness.util.names import UnknownNameError, UsageError

CONF = Path(__file__).resolve().parent.parent / "conf"
KEY = re.compile(r"[+~]*[\w./@:-]+=")
PLAIN = re.compile(r"[\w./:%+@-]*")  # a value that needs no quotes
OPEN_KEYS = ("params", "target")  # checked later, by the submission and the target that they belong to


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
    parsed = parse_overrides(overrides)
    known = _known_keys(config_name)
    short = {name: None for name in parameters if name not in known}
    for override in parsed:
        key = override.key_or_group
        if key.split(".")[0] != "hydra" and "/" not in key:
            _check_key(key, {**known, **short})
            if key in choices:
                _check_names(key, _values(override), choices[key]())
    return [_opened(f"params.{text}" if re.split(r"[.=]", text)[0] in short else text) for text in overrides]


def parse_overrides(overrides: Sequence[str]) -> list[Any]:
    """Overrides as Hydra reads them.

    Raises:
        UsageError: not of the form key=value, or a value that does not parse; says how to quote it.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    parser = OverridesParser.create()
    parsed: list[Any] = []
    for place, text in enumerate(overrides):
        if "=" not in text and not text.startswith("~"):
            raise UsageError(_no_override(overrides, place))
        try:
            parsed += parser.parse_overrides([text])
        except OverrideParseException as error:
            reason = str(error.message or error).splitlines()[0]
            raise UsageError(f"{text!r} cannot be parsed: {reason}. {_quoting(overrides, place)}") from error
    return parsed


def given_values(parsed: Iterable[Any], key: str) -> list[str]:
    """What `key` is set to, all values of a sweep, without their quotes."""
    found = [override for override in parsed if override.key_or_group == key and not override.is_delete()]
    return [str(value) for override in found for value in _values(override)]


def _no_override(overrides: Sequence[str], place: int) -> str:
    """What to say of a text without `=`: perhaps the shell cut it off what stands before."""
    text = overrides[place]
    plain = f"{text!r} is no override; write key=value, for instance task=cifar10_resnet20."
    before = next((index for index in reversed(range(place)) if "=" in overrides[index]), None)
    if before is None:
        return plain
    whole = " ".join(overrides[before : place + 1])
    return f"{plain} If it belongs to what stands before it, quote both: {_quoted(whole)}"


def _quoting(overrides: Sequence[str], place: int) -> str:
    """How the shell and Hydra take what did not parse."""
    whole, following = overrides[place], place + 1
    while _open_brackets(whole) and following < len(overrides) and not KEY.match(overrides[following]):
        whole += " " + overrides[following]
        following += 1
    if following > place + 1:
        return f"The shell cut it at its spaces; write it in one: {_quoted(whole)}"
    if _open_brackets(whole):
        return f"A bracket is open; in quotes a list is one text, spaces and all: {_quoted(_closed(whole))}"
    return f"If the value is one text, put it in double quotes within single ones: {_quoted(whole, as_text=True)}"


def _quoted(text: str, as_text: bool = False) -> str:
    """As the shell takes it in one piece; a value that Hydra would read apart, as one text."""
    key, _, value = text.partition("=")
    if as_text or (not value.startswith(("[", "{", '"', "'")) and not PLAIN.fullmatch(value)):
        inner = value.strip("\"'").replace("\\", "\\\\").replace('"', '\\"')
        text = f'{key}="{inner}"'
    return shlex.quote(text)


def _open_brackets(text: str) -> bool:
    return any(text.count(left) > text.count(right) for left, right in ("[]", "{}", "()"))


def _closed(text: str) -> str:
    """`text` with what is missing at its end."""
    missing = [right for left, right in ("[]", "{}", "()") for _ in range(text.count(left) - text.count(right))]
    return text + "".join(missing)


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
        if before in OPEN_KEYS or tree is None:  # what is below is not known here
            return
        if not isinstance(tree, dict):
            hint = " The options of a target are written target.NAME.OPTION=…" if before == "targets" else ""
            raise UsageError(f"{key}: {before} has a value and no keys below it.{hint}")
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
            if key == "targets" and str(name).endswith(".py"):  # a file of one's own
                continue
            if str(name) not in known:
                raise UnknownNameError(key.removesuffix("s"), str(name), known)


def _opened(text: str) -> str:
    """Let `params.x=1` and `task.recipe.clip_norm=1` set a key that the file does not list."""
    return f"++{text}" if text.split(".")[0] in OPEN_KEYS or text.startswith("task.") else text
