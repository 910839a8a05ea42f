"""How a task's reference network is made: from one configuration and one seed, resumably."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from harness.data import load_dataset
from harness.models import initial_model
from harness.references.curve import write_curve
from harness.tasks.task import Task
from harness.training.accuracy import EVALUATION_BATCH, top1_accuracy
from harness.training.checkpoint import resume, save_checkpoint
from harness.training.loop import Trainer
from harness.training.processes import device_name
from harness.util.environment import describe_environment
from harness.util.files import sha256_of_file, write_atomically, written_aside
from harness.util.progress import progress_bar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceFiles:
    """What `train_reference` leaves behind: weights, their record, and the learning curve as a page."""

    weights: Path
    record: Path

    @property
    def curve(self) -> Path:
        return self.record.with_suffix(".html")


def train_reference(
    task: Task,
    folder: Path,
    *,
    seed: int = 0,
    threads: int | None = None,
    compile: bool = False,
    epochs: int | None = None,
) -> ReferenceFiles:
    """Train `task`'s model from its initial weights on the training split; write weights and record.

    A checkpoint follows each epoch: the same call goes on where a killed one stopped, and only
    writes the results again where all epochs are done. The last epoch's weights are kept as they
    are; nothing is chosen by its accuracy. Of several processes only the main one prints, validates
    and writes; the others return when the files are there.

    Args:
        folder: receives `<task>.safetensors`, `<task>.json`, the learning curve as `<task>.html`,
            and `<task>.checkpoint.pt`.
        threads: of each process.
        epochs: instead of the recipe's own number, and then without a warm restart.

    Raises:
        DataUnavailableError: the data set or pretrained weights cannot be had.
        DivergedError: the loss is no longer finite.
        UsageError: the checkpoint in `folder` is damaged or was made with another configuration.
    """
    if threads:
        torch.set_num_threads(threads)
    recipe = task.recipe.over(epochs) if epochs else task.recipe
    configuration = {"task": task.name, "version": task.version, "seed": seed, "recipe": asdict(recipe)}
    data = load_dataset(task.dataset)
    loader = data.loader("train", batch_size=recipe.batch_size, recipe=recipe, seed=seed)
    validation = data.loader("validation", batch_size=EVALUATION_BATCH)
    trainer = Trainer(initial_model(task.model, seed=seed), loader, recipe, compile=compile, seed=seed)
    main = trainer.accelerator.is_main_process
    folder.mkdir(parents=True, exist_ok=True)
    files = ReferenceFiles(folder / f"{task.name}.safetensors", folder / f"{task.name}.json")
    checkpoint = folder / f"{task.name}.checkpoint.pt"
    curve = resume(trainer, checkpoint, configuration)
    if main and curve:
        log.info("Going on after epoch %d of %s.", len(curve), checkpoint)
    with _progress(task, recipe.epochs, shown=main) as advance:
        advance(len(curve))
        while len(trainer.curve) < recipe.epochs:
            line = trainer.run_epoch()
            if main:
                curve.append({**asdict(line), "validation_accuracy": top1_accuracy(trainer.model, validation)})
                save_checkpoint(checkpoint, {**trainer.state(), "validated": curve, "configuration": configuration})
                write_curve(files.curve, task.title, curve)
                _tell(curve[-1], recipe.epochs)
            advance(1)
    if main:
        _write(files, trainer, configuration, curve)
        write_curve(files.curve, task.title, curve)
    trainer.accelerator.wait_for_everyone()
    return files


def _progress(task: Task, epochs: int, *, shown: bool) -> AbstractContextManager[Callable[[int], None]]:
    return progress_bar(f"Training {task.name}", epochs, unit="epochs") if shown else nullcontext(_nothing)


def _nothing(step: int) -> None:
    """Progress that nobody sees."""


def _tell(line: dict, epochs: int) -> None:
    told = "epoch {epoch:3d}/{epochs}  loss {loss:.4f}  validation {validation_accuracy:.4f}  {time_s:.1f} s"
    log.info("%s", told.format(epochs=epochs, **line))


def _write(files: ReferenceFiles, trainer: Trainer, configuration: dict, curve: list[dict]) -> None:
    weights = {name: tensor.cpu().contiguous() for name, tensor in trainer.model.state_dict().items()}
    with written_aside(files.weights) as aside:
        save_file(weights, aside)
    record = {
        **configuration,
        "weights_sha256": sha256_of_file(files.weights),
        "validation_accuracy": curve[-1]["validation_accuracy"],
        "training_time_s": round(sum(line["time_s"] for line in curve), 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processes": trainer.accelerator.num_processes,
        "device": device_name(trainer.device),
        "environment": describe_environment(),
        "curve": curve,
    }
    write_atomically(files.record, json.dumps(record, indent=1) + "\n")
