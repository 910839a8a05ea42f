"""The options of a choice that was made by name, held against what it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pruning.names import nearest

T = TypeVar("T")
TYPES: Mapping[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (int, float), "str": (str,)}


def made(kind: str, name: str, factory: Callable[..., T], options: Mapping[str, Any]) -> T:
    """`factory(**options)`.

    Raises:
        ValueError: the factory does not take them, or says what is wrong with one.
    """
    try:
        return factory(**options)
    except TypeError as error:
        raise ValueError(f"{kind}={name} does not take the options {dict(options)}: {error}") from error


def check_names(kind: str, name: str, options: Iterable[str], known: Iterable[str]) -> None:
    """Refuse options that the choice does not have.

    Raises:
        ValueError: names the nearest.
    """
    known = list(known)
    for option in options:
        if option not in known:
            raise ValueError(f"{kind}={name} has no option {option!r}. {nearest(option, known)}")


def check_types(kind: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Hold each option against the type that `function` names for it, where that is a number, a word or a truth value.

    Raises:
        ValueError: it is of another type.
    """
    parameters = inspect.signature(function).parameters
    for name, value in options.items():
        wanted = parameters[name].annotation if name in parameters else None
        allowed = TYPES.get(wanted) if isinstance(wanted, str) else None
        if allowed and (not isinstance(value, allowed) or (isinstance(value, bool) and wanted != "bool")):
            raise ValueError(f"options.{kind}.{name} is of type {wanted}; {value!r} is not.")
