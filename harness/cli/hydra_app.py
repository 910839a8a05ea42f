"""Hydra at the edge: compose, hand plain values to a function, and come back with what it returned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from harness.cli.overrides import CONF
from harness.util.names import UsageError

if TYPE_CHECKING:
    from omegaconf import DictConfig

T = TypeVar("T")
Job = Callable[[dict[str, Any]], dict[str, Any]]


def compose_and_call(job: Job, config_name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Call `job` with the composed configuration as a plain dictionary, and return what it returns.

    Raises:
        UsageError: the configuration cannot be composed.
    """
    from hydra import compose, initialize_config_dir

    with _as_usage_errors(), initialize_config_dir(str(CONF), version_base="1.3", job_name=config_name):
        composed = compose(config_name, list(overrides))
        fields = _plain(composed)
    return job(fields)


def sweep(job: Job, config_name: str, overrides: Sequence[str]) -> tuple[list[dict[str, Any]], list[Exception]]:
    """Call `job` once for each combination of the values in `overrides`, by the launcher that they name.

    A launcher may run jobs in other processes; what they return comes back through it.

    Returns:
        What the jobs returned, and what others raised: a job that raises does not keep the rest of
        a sweep from running.

    Raises:
        UsageError: the configuration cannot be composed.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    with _as_usage_errors(), initialize_config_dir(str(CONF), version_base="1.3", job_name=config_name):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        batches = hydra.multirun(config_name, partial(_caught, job), list(overrides), with_log_configuration=False)
    outcomes = [done.return_value for batch in batches for done in batch]
    return [each for each in outcomes if isinstance(each, dict)], [e for e in outcomes if isinstance(e, Exception)]


def _caught(job: Job, config: DictConfig) -> dict[str, Any] | Exception:
    """What `job` returns; what it raises is returned too, so that the sweep goes on, and raised when it is done."""
    import pickle

    try:
        return job(_plain(config))
    except Exception as error:  # noqa: BLE001
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # noqa: BLE001  it could not come back from another process
            return (
                UsageError(str(error))
                if isinstance(error, UsageError)
                else RuntimeError(f"{type(error).__name__}: {error}")
            )
        return error


@contextmanager
def _as_usage_errors() -> Iterator[None]:
    """What Hydra finds wrong with a configuration is wrong usage."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(str(error)) from error


def _plain(config: DictConfig) -> dict[str, Any]:
    from omegaconf import OmegaConf

    fields = OmegaConf.to_container(config, resolve=True)
    assert isinstance(fields, dict)
    return {str(key): value for key, value in fields.items()}


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
