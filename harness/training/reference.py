"""How a task's reference network is made: from one configuration and one seed, resumably."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from harness.data import load_dataset
from harness.data.dataset import Loader
from harness.environment import describe_environment, sha256_of_file
from harness.models import initial_model
from harness.progress import progress_bar
from harness.tasks.task import Task
from harness.training.loop import Trainer

EVALUATION_BATCH = 500


@dataclass(frozen=True)
class ReferenceFiles:
    """What `train_reference` leaves behind."""

    weights: Path
    record: Path


@torch.no_grad()
def top1_accuracy(model: torch.nn.Module, loader: Loader) -> float:
    """Share of the loader's samples whose largest logit is at the label."""
    model.eval()
    right = sum(int((model(inputs).argmax(1) == labels).sum()) for inputs, labels in loader)
    return right / loader.sample_count


def train_reference(
    task: Task,
    folder: Path,
    *,
    seed: int = 0,
    threads: int | None = None,
    compile: bool = False,
    epochs: int | None = None,
) -> ReferenceFiles:
    """Train `task`'s model from scratch on the training split and write weights and record.

    A checkpoint follows each epoch: the same call goes on where a killed one stopped. The last
    epoch's weights are kept as they are; nothing is chosen by its accuracy.

    Args:
        folder: receives `<task>.safetensors`, `<task>.json` and, meanwhile, the checkpoint.
        epochs: instead of the recipe's own number.

    Raises:
        DataUnavailableError: the data set cannot be had.
        ValueError: the checkpoint in `folder` was made with another configuration.
    """
    if threads:
        torch.set_num_threads(threads)
    recipe = replace(task.recipe, epochs=epochs) if epochs else task.recipe
    configuration = {"task": task.name, "version": task.version, "seed": seed, "recipe": asdict(recipe)}
    data = load_dataset(task.dataset)
    loader = data.loader("train", batch_size=recipe.batch_size, recipe=recipe, seed=seed)
    validation = data.loader("validation", batch_size=EVALUATION_BATCH)
    trainer = Trainer(initial_model(task.model, seed=seed), loader, recipe, compile=compile)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{task.name}.checkpoint.pt"
    curve = _resume(trainer, checkpoint, configuration)
    with progress_bar(f"Training {task.name}", recipe.epochs, unit="epochs") as advance:
        advance(len(curve))
        while len(curve) < recipe.epochs:
            line = trainer.run_epoch()
            curve.append({**asdict(line), "validation_accuracy": top1_accuracy(trainer.model, validation)})
            _save_checkpoint(checkpoint, {**trainer.state(), "validated": curve, "configuration": configuration})
            advance(1)
            print(
                f"epoch {line.epoch:3d}/{recipe.epochs}  loss {line.loss:.4f}  "
                f"validation {curve[-1]['validation_accuracy']:.4f}  {line.time_s:.1f} s",
                flush=True,
            )
    return _write(task, trainer.model, folder, configuration, curve)


def _resume(trainer: Trainer, checkpoint: Path, configuration: dict) -> list[dict]:
    if not checkpoint.exists():
        return []
    state = torch.load(checkpoint, weights_only=True)
    if state["configuration"] != configuration:
        raise ValueError(f"{checkpoint} was made with another configuration; delete it, or train into another folder")
    trainer.resume(state)
    print(f"Going on after epoch {len(trainer.curve)} of {checkpoint}.", flush=True)
    return state["validated"]


def _save_checkpoint(path: Path, state: dict) -> None:
    aside = path.with_suffix(".part")
    torch.save(state, aside)
    aside.replace(path)


def _write(task: Task, model: torch.nn.Module, folder: Path, configuration: dict, curve: list[dict]) -> ReferenceFiles:
    files = ReferenceFiles(folder / f"{task.name}.safetensors", folder / f"{task.name}.json")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, files.weights)
    record = {
        **configuration,
        "weights_sha256": sha256_of_file(files.weights),
        "validation_accuracy": curve[-1]["validation_accuracy"],
        "training_time_s": round(sum(line["time_s"] for line in curve), 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": describe_environment(),
        "curve": curve,
    }
    files.record.write_text(json.dumps(record, indent=1) + "\n")
    return files
