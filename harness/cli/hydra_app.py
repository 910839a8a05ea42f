"""Hydra at the edge: compose, hand plain values to a function, and come back with what it returned."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness.cli.overrides import CONF
from harness.util.names import UsageError

T = TypeVar("T")
OUTCOMES = "OPENPRUNE_OUTCOMES"


def compose_and_call(
    job: Callable[[dict[str, Any]], dict[str, Any]], config_name: str, overrides: Sequence[str], *, multirun: bool
) -> tuple[list[dict[str, Any]], list[Exception]]:
    """Call `job` with the composed configuration as a plain dictionary, once for each job of a sweep.

    Hydra's launchers may run jobs in other processes, so what `job` returns comes back as a line of
    JSON in a file that all of them append to.

    Returns:
        What the jobs returned, and what others raised: a job that raises does not keep the rest of
        a sweep from running.

    Raises:
        UsageError: the configuration cannot be composed.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    raised: list[Exception] = []

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)
    def application(config: DictConfig) -> None:
        fields = OmegaConf.to_container(config, resolve=True)
        assert isinstance(fields, dict)
        try:
            outcome = job({str(key): value for key, value in fields.items()})
        except Exception as error:  # noqa: BLE001  the sweep goes on; raised again when it is done
            raised.append(error)
            outcome = {"error": f"{type(error).__name__}: {error}"}
        with Path(os.environ[OUTCOMES]).open("a") as out:
            out.write(json.dumps(outcome) + "\n")

    with tempfile.TemporaryDirectory(prefix="openprune-") as folder:
        outcomes = Path(folder, "outcomes")
        outcomes.touch()
        before = sys.argv
        sys.argv = [f"openprune {config_name}", *(["--multirun"] if multirun else []), *overrides]
        os.environ[OUTCOMES] = str(outcomes)
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors reach `main` as they are
        try:
            application()
        except (HydraException, OmegaConfBaseException) as error:
            raise UsageError(str(error)) from error
        finally:
            sys.argv = before
            del os.environ[OUTCOMES]
        done = [json.loads(line) for line in outcomes.read_text().splitlines()]
    elsewhere = [RuntimeError(f"in a process of the sweep: {each['error']}") for each in done if "error" in each]
    return [each for each in done if "error" not in each], [*(raised or elsewhere)]


def typed(schema: type[T], fields: dict[str, Any]) -> T:
    """Composed plain values as a dataclass.

    Raises:
        UsageError: a value is of the wrong type; names each.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(schema).validate_python(fields)
    except ValidationError as error:
        raise UsageError("\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from error


def check_seed(seed: int) -> None:
    """Refuse what the random generators do not take.

    Raises:
        UsageError: out of range.
    """
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed={seed}: choose one from 0 to {2**32 - 1}.")
