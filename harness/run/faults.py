"""Whose fault it is when a target does not get through: the model's, the target's, or the machine's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.entries.rules import HarnessError, RuleBroken
from harness.util.environment import describe_environment
from harness.util.names import UsageError
from hw_targets.target import ModelRefused, Target, TargetError, Unavailable


def environment_of(target: Target) -> dict[str, Any]:
    """This machine, and the device on it that `target` measures.

    Raises:
        HarnessError: the target is not available here.
    """
    available = target.availability()
    if isinstance(available, Unavailable):
        raise HarnessError(f"target {target.name} is not available here: {available.reason}")
    return {**describe_environment(), "device": available.detail}


@contextmanager
def faults_of(target: Target) -> Iterator[None]:
    """What `target` raises, as what it means: one target's failure must not cost the others theirs.

    Raises:
        RuleBroken: `target_refuses` where it cannot hold or run the model; and what came as such.
        HarnessError: anything else, but for what the user or the disk has to mend.
    """
    try:
        yield
    except ModelRefused as refused:
        raise RuleBroken("target_refuses", str(refused)) from refused
    except (RuleBroken, HarnessError, UsageError, OSError):
        raise
    except TargetError as error:
        raise HarnessError(f"target {target.name}: {error}") from error
    except Exception as error:
        raise HarnessError(f"target {target.name} failed: {type(error).__name__}: {error}") from error
