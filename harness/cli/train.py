"""`openprune train`: make a task's reference network, resumably."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from harness.cli.complete import completes_with, override_completer
from harness.util.names import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    overrides = parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="task=cifar10_resnet20 seed=1 compile=true …"
    )
    completes_with(overrides, override_completer)


def execute(args: argparse.Namespace) -> int:
    from harness.cli.hydra_app import compose_and_call
    from harness.cli.overrides import check_overrides
    from harness.tasks import task_names

    ready = check_overrides(args.overrides, "train", {"task": task_names})
    outcome = compose_and_call(train_job, "train", ready)
    if outcome:
        print(f"Weights:  {outcome['weights']}\nRecord:   {outcome['record']}\nCurve:    {outcome['curve']}")
        print(f"Accuracy: validation {outcome['validation']:.4f}, test {outcome['test']:.4f}")
    return 0


@dataclass(frozen=True)
class TrainConfig:
    """`conf/train.yaml`, typed."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    task: dict[str, Any]
    seed: int
    output: str | None
    threads: int | None
    compile: bool


def train_job(fields: dict[str, Any]) -> dict[str, Any]:
    """Train as composed, and judge the result as the harness judges a submission.

    Of several processes (`torchrun`, `accelerate launch`) the main one judges; the others return nothing.

    Raises:
        UsageError: the checkpoint does not fit, or the training diverged.
    """
    from harness.cli.hydra_app import check_seed, typed
    from harness.data import data_root
    from harness.references.train import train_reference
    from harness.run.reference import judge_reference
    from harness.tasks import task_from_mapping
    from harness.training.loop import DivergedError
    from harness.training.processes import is_main_process, leave

    config = typed(TrainConfig, fields)
    task = task_from_mapping(config.task, "the task as overridden")
    check_seed(config.seed)
    if config.threads is not None and config.threads < 1:
        raise UsageError(f"threads={config.threads}: choose 1 or more, or leave it out for all cores.")
    output = Path(config.output).expanduser() if config.output else data_root() / "references"
    try:
        files = train_reference(task, output, seed=config.seed, threads=config.threads, compile=config.compile)
    except DivergedError as error:
        raise UsageError(f"{task.name}: {error} (task.recipe.learning_rate=...).") from error
    judges = is_main_process()
    leave()
    if not judges:
        return {}
    record = judge_reference(task, files)
    return {
        "weights": str(files.weights),
        "record": str(files.record),
        "curve": str(files.curve),
        "validation": record["validation_accuracy"],
        "test": record["test_accuracy"],
    }
