"""The file a training goes on from: one configuration, one state, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harness.tasks.recipe import Recipe
from harness.util.files import written_aside
from harness.util.names import UsageError

if TYPE_CHECKING:
    from harness.training.loop import Trainer

PARTS = {"model", "optimizer", "schedule", "curve", "validated", "configuration"}


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state`, the whole of it or nothing."""
    with written_aside(path) as aside:
        torch.save(dict(state), aside)


def resume(trainer: Trainer, path: Path, configuration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Let `trainer` go on from the checkpoint in `path`, where there is one.

    Returns:
        The validated curve so far; empty where there is no checkpoint.

    Raises:
        UsageError: see `load_checkpoint`; or the network of the checkpoint is another one.
    """
    state = load_checkpoint(path, configuration)
    if state is None:
        return []
    try:
        trainer.resume(state)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} does not fit the network as it is now: {error}. {_advice(path)}") from error
    return state["validated"]


def load_checkpoint(path: Path, configuration: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state in `path`, with its tensors on the CPU; None where there is no such file.

    A checkpoint older than one of the recipe's fields counts as made with that field's default.

    Raises:
        UsageError: the file is damaged, or was made with another configuration; the message names
            the file, and the fields that differ.
    """
    if not path.exists():
        return None
    with path.open("rb") as stream:
        try:
            state = torch.load(stream, map_location="cpu", weights_only=True)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes the decoder fail in any way
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise UsageError(f"{path} is damaged and cannot be read ({reason}). {_advice(path)}") from error
    missing = PARTS - set(state) if isinstance(state, dict) else PARTS
    if missing:
        raise UsageError(
            f"{path} is no checkpoint of a training: it lacks {', '.join(sorted(missing))}. {_advice(path)}"
        )
    if differing := differences(state["configuration"], configuration):
        raise UsageError(f"{path} was made with another configuration: {'; '.join(differing)}. {_advice(path)}")
    return state


def differences(saved: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """One sentence for each field that differs, such as `recipe.epochs is 2 there and 4 now`."""
    defaults = asdict(Recipe(epochs=0))
    there, now = _flat({**saved, "recipe": {**defaults, **saved.get("recipe", {})}}), _flat(asked)
    fields = sorted(set(there) | set(now))
    return [f"{f} is {there.get(f)!r} there and {now.get(f)!r} now" for f in fields if there.get(f) != now.get(f)]


def _flat(configuration: Mapping[str, Any]) -> dict[str, Any]:
    recipe = {f"recipe.{name}": value for name, value in configuration["recipe"].items()}
    return {**{name: value for name, value in configuration.items() if name != "recipe"}, **recipe}


def _advice(path: Path) -> str:
    return f"Delete {path.name} to train from the start, or train into another folder (output=...)."
