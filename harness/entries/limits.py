"""What a submission's parameters may be: held against its `limits.yaml` before any work.

A line for each parameter, in the words of JSON Schema; a bound may be another parameter's name:

    sparsity: {minimum: 0, exclusiveMaximum: 1}
    n: {minimum: 1, maximum: m}
    control: {enum: [none, reinitialised, shuffled]}
    percentile: {type: number, minimum: 0, maximum: 100}

A type that is not told is that of the default in `config.yaml`; of a default `null` it is open. What holds
without any line: numbers are finite, shares (`sparsity`, `…_fraction`, …) lie in 0 … 1, and counts (`epochs`,
`steps`, …) are not negative.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.util.names import UsageError, pick

SHARE = re.compile(r"(.*_)?(sparsity|fraction|share)")
COUNT = re.compile(r"(epochs|steps|batches|rounds)(_.*)?")
Value = float | int
BOUNDS: dict[str, tuple[Callable[[Value, Value], bool], str]] = {
    "minimum": (lambda value, bound: value >= bound, "at least"),
    "exclusiveMinimum": (lambda value, bound: value > bound, "above"),
    "maximum": (lambda value, bound: value <= bound, "at most"),
    "exclusiveMaximum": (lambda value, bound: value < bound, "below"),
}
TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "boolean": (bool, "true or false"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "string": (str, "a word"),
    "array": (list, "a list, as in '[a, b]'"),
    "object": (dict, "a mapping of names to values"),
    "null": (type(None), "null"),
}
OF_DEFAULT = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def check_parameters(
    submission: str, defaults: Mapping[str, Any], parameters: Mapping[str, Any], limits: Mapping[str, Any]
) -> None:
    """Hold a submission's parameters against its limits.

    Args:
        defaults: of its `config.yaml`, all of them.
        limits: of its `limits.yaml`.

    Raises:
        UsageError: a parameter is out of its limits, with what it may be; or the limits themselves are wrong.
    """
    for name in limits:
        if name not in parameters:
            raise UsageError(f"{submission}: limits.yaml tells of {name!r}, which is no parameter in config.yaml.")
    for name, value in parameters.items():
        for place, each in _numbers(name, value):
            if not math.isfinite(each):
                raise UsageError(f"{submission}: {place}={each} is no finite number.")
        limit = _mapping(submission, name, limits.get(name, {}))
        usual = _usual(name, defaults[name])
        limit = {**usual, **limit} if not BOUNDS.keys() & limit else {"type": usual.get("type"), **limit}
        types = limit.get("type") or OF_DEFAULT.get(type(defaults[name]))
        if types is not None:
            _check_type(submission, name, value, [types] if isinstance(types, str) else types)
        if value is not None:
            _check_value(submission, name, value, limit, parameters)


def _numbers(place: str, value: Any) -> Iterator[tuple[str, float]]:
    """The floats within a value, and where."""
    if isinstance(value, float):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{place}.{key}", inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _numbers(place, inner)


def _usual(name: str, default: Any) -> dict[str, Any]:
    """The bounds that follow from a name."""
    if isinstance(default, bool) or not isinstance(default, (int, float)):
        return {}
    if SHARE.fullmatch(name):
        return {"type": "number", "minimum": 0, "maximum": 1}
    return {"minimum": 0} if COUNT.fullmatch(name) else {}


def _mapping(submission: str, name: str, limit: Any) -> dict[str, Any]:
    if not isinstance(limit, dict):
        raise UsageError(
            f"{submission}: limits.yaml must give {name} a mapping, such as {{minimum: 0}}, not {limit!r}."
        )
    for word in limit:
        pick(f"limit for {name} of {submission}", word, {**BOUNDS, "enum": None, "type": None})
    return limit


def _check_type(submission: str, name: str, value: Any, types: list[str]) -> None:
    known = [pick(f"type for {name} of {submission}", each, TYPES) for each in types]
    allowed = [kind is bool if isinstance(value, bool) else isinstance(value, kind) for kind, _ in known]
    if not any(allowed):
        hint = " (whole, as its default is)" if types == ["integer"] and isinstance(value, float) else ""
        raise UsageError(
            f"{submission}: {name}={_shown(value)} must be {' or '.join(word for _, word in known)}{hint}."
        )


def _check_value(
    submission: str, name: str, value: Any, limit: Mapping[str, Any], parameters: Mapping[str, Any]
) -> None:
    if "enum" in limit and value not in limit["enum"]:
        choices = {str(each): None for each in limit["enum"]}
        if not isinstance(value, (str, int, float)):
            raise UsageError(f"{submission}: {name}={_shown(value)} must be one of {', '.join(choices)}.")
        pick(f"{name} of {submission}", str(value), choices)
    for word, bound in limit.items():
        if word not in BOUNDS or not isinstance(value, (int, float)):
            continue
        named = f"{bound}={parameters[bound]}" if isinstance(bound, str) else f"{bound:g}"
        most = parameters[bound] if isinstance(bound, str) else bound
        holds, words = BOUNDS[word]
        if not isinstance(most, (int, float)) or not holds(value, most):
            raise UsageError(f"{submission}: {name}={value} is out of its limits: {_range(limit, words, named)}.")


def _range(limit: Mapping[str, Any], words: str, named: str) -> str:
    """Both ends where they are plain numbers, else the one that is missed."""
    ends = [
        f"{BOUNDS[word][1]} {bound:g}" for word, bound in limit.items() if word in BOUNDS and not isinstance(bound, str)
    ]
    missed = f"{words} {named}"
    return f"it must be {' and '.join(ends) if missed in ends else missed}"


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
