"""From a composed configuration to typed requests, and nothing done yet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.util.names import UsageError
from hw_targets.target import Effort

if TYPE_CHECKING:
    from harness.run.values import Request
    from hw_targets.target import Target

NAMELESS = (
    "Name the submission to run: submission=NAME, or submission_dir=FOLDER for one of your own. Here are: {}. "
    "submission=dense measures the reference itself."
)


@dataclass(frozen=True)
class RunConfig:
    """`conf/run.yaml`, typed."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    task: dict[str, Any]
    submission: str | None
    submission_dir: str | None
    params: dict[str, Any]
    targets: list[str]
    target: dict[str, dict[str, Any]]
    seed: int
    effort: Effort
    repeats: int


def make_requests(fields: dict[str, Any]) -> list[Request]:
    """One request for each repeat.

    Raises:
        UsageError: a value is of the wrong type, or names something that does not exist.
    """
    from harness.cli.hydra_app import check_seed, typed
    from harness.entries.loading import load_submission
    from harness.run.values import Request
    from harness.tasks import load_task, task_from_mapping, task_names

    config = typed(RunConfig, fields)
    task = task_from_mapping(config.task, "the task as overridden")
    modified = task.name not in task_names() or asdict(task) != asdict(load_task(task.name))
    name = config.submission or own_name(config.submission_dir)
    if not name:
        raise nameless()
    submission = load_submission(name, config.params, config.submission_dir)
    check_seed(config.seed)
    if config.repeats < 1:
        raise UsageError("repeats must be at least 1.")
    targets = _targets(config)
    return [
        Request(task, submission, targets, config.seed, config.effort, repeat, modified)
        for repeat in range(config.repeats)
    ]


def own_name(folder: str | None) -> str:
    """The submission that a `submission_dir` without a name means: its own."""
    return Path(folder).expanduser().resolve().name if folder else ""


def nameless() -> UsageError:
    """What is said where no submission is named."""
    from harness.entries.loading import submission_names

    return UsageError(NAMELESS.format(", ".join(submission_names())))


def _targets(config: RunConfig) -> tuple[Target, ...]:
    from hw_targets.registry import is_file, make_target

    if not config.targets:
        raise UsageError("targets is empty; name at least one: 'targets=[cpu]'.")
    called = {name: Path(name).stem if is_file(name) else name for name in config.targets}
    if len(set(called.values())) < len(called):
        raise UsageError(f"Two of targets={config.targets} have one name.")
    for name in config.target:
        if name not in called.values():
            raise UsageError(f"target.{name} is set, but {name} is not in targets={config.targets}.")
    try:
        return tuple(make_target(name, config.target.get(own, {})) for name, own in called.items())
    except ValueError as error:
        raise UsageError(str(error)) from error
