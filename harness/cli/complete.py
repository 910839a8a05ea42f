"""Completion in the shell: names are read off folders, without loading what they stand for."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).resolve().parent.parent.parent
NESTED = {"params", "target"}  # params.sparsity=0.9
NOT_TARGETS = {"formats", "__pycache__"}


def task_names(**_: Any) -> list[str]:
    return sorted(path.stem for path in (PACKAGES / "harness" / "conf" / "task").glob("*.yaml"))


def submission_names(**_: Any) -> list[str]:
    return sorted(path.parent.name for path in (PACKAGES / "submissions").glob("*/submission.py"))


def target_names(**_: Any) -> list[str]:
    """Folders of `hw_targets`, one a target."""
    folders = (path.parent.name for path in (PACKAGES / "hw_targets").glob("*/__init__.py"))
    return sorted(name for name in folders if name not in NOT_TARGETS)


def _nothing(**_: Any) -> list[str]:
    return []


OVERRIDES: dict[str, Callable[..., list[str]]] = {
    "task": task_names,
    "submission": submission_names,
    "targets": target_names,
    "effort": lambda **_: ["quick", "standard", "official"],
    **dict.fromkeys(("seed", "repeats", "submission_dir", "params", "target"), _nothing),
}


def override_completer(prefix: str, **_: Any) -> list[str]:
    """Complete one override: `ta` → `task=`, `submission=dense,ma` → `submission=dense,magnitude`.

    The last name of a list is completed, with or without the bracket that opens it.
    """
    key, equals, value = prefix.partition("=")
    if not equals:
        return [f"{name}{'.' if name in NESTED else '='}" for name in OVERRIDES if name.startswith(key)]
    names = OVERRIDES[key]() if key in OVERRIDES else []
    cut = max(value.rfind(","), value.rfind("[")) + 1
    taken = set(value[:cut].strip("[").split(","))
    return [f"{key}={value[:cut]}{name}" for name in names if name.startswith(value[cut:]) and name not in taken]


def completes_with(action: argparse.Action, completer: Callable[..., Iterable[str]]) -> argparse.Action:
    """Let `action`'s values be completed by `completer`; returns the action."""
    action.completer = completer  # type: ignore[attr-defined]
    return action


def answer_shell() -> None:
    """Answer the shell that asks for completions, and end the process."""
    import argcomplete

    from harness.cli.commands import COMMANDS, build_parser

    words = os.environ.get("COMP_LINE", "").split()
    command = next((word for word in words[1:] if word in COMMANDS), None)
    argcomplete.autocomplete(build_parser(command), always_complete_options=False)
