"""`openprune tasks`: what can be pruned, on which data, and the quality that must be kept."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.cli.complete import completes_with, task_names

if TYPE_CHECKING:
    from harness.tasks.task import Task


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("list", "show"), default="list", help="default: list")
    completes_with(parser.add_argument("name", nargs="?", metavar="NAME", help="of the task to show"), task_names)
    parser.add_argument("--json", action="store_true", help="for programs")


def execute(args: argparse.Namespace) -> int:
    from harness.names import UsageError
    from harness.tasks import load_task, task_names

    if args.action == "show":
        if args.name is None:
            raise UsageError(f"Which task? openprune tasks show NAME, with NAME one of: {', '.join(task_names())}.")
        return _show(load_task(args.name), args.json)
    if args.name is not None:
        raise UsageError(f"To see one task: openprune tasks show {args.name}")
    return _list([load_task(name) for name in task_names()], args.json)


def _list(tasks: list[Task], as_json: bool) -> int:
    from harness.cli.output import make_table, show_json, show_table

    rows = [
        {
            "name": task.name,
            "version": task.version,
            "title": task.title,
            "data_ready": _data_ready(task),
            "reference": task.reference.value,
            "quality_target": round(task.quality_target, 6),
            "superseded_by": task.superseded_by,
        }
        for task in tasks
    ]
    if as_json:
        show_json(rows)
        return 0
    cells = [
        (
            row["name"],
            row["version"],
            row["title"] if row["superseded_by"] is None else f"{row['title']} (superseded by {row['superseded_by']})",
            f"{row['reference']:.2%}",
            f"{row['quality_target']:.2%}",
            "ready" if row["data_ready"] else "not fetched",
        )
        for row in rows
    ]
    show_table(make_table(("task", "version", "what", "reference", "quality target", "data"), cells))
    return 0


def _show(task: Task, as_json: bool) -> int:
    from harness.cli.output import make_table, show_json, show_table

    if as_json:
        show_json({**asdict(task), "quality_target": task.quality_target, "data_ready": _data_ready(task)})
    else:
        show_table(make_table(("fact", "value"), facts(task, _data_ready(task)).items(), title=task.title))
    return 0


def _data_ready(task: Task) -> bool:
    from harness.data import is_present

    return is_present(task.dataset)


def facts(task: Task, data_ready: bool) -> dict[str, Any]:
    """What a reader wants to know of `task`, in words."""
    reference, recipe, budget = task.reference, task.recipe, task.budget
    state = "ready" if data_ready else f"not fetched: openprune data fetch {task.dataset}"
    published = f"{reference.published:.2%} ({reference.published_source})" if reference.published else "none cited"
    augmentation = f"crops from {recipe.crop_padding} pixels of border" + (", flips" if recipe.flip else "")
    precision = "bfloat16 autocast" if recipe.bfloat16 else "float32"
    return {
        "task": f"{task.name}, version {task.version}"
        + (f", superseded by {task.superseded_by}" if task.superseded_by else ""),
        "data": f"{task.dataset} ({state})",
        "model": task.model,
        "input": f"{task.input.dtype} [n, {', '.join(map(str, task.input.shape))}] → [n, {task.input.classes}]",
        "reference": f"{reference.value:.2%} {task.metric}, float32 on ONNX Runtime",
        "published": published,
        "quality target": f"{task.quality_target:.2%} ({task.quality_ratio:.0%} of the reference)",
        "scenarios": ", ".join(task.scenarios),
        "recipe": f"{recipe.epochs} epochs, batch {recipe.batch_size}, learning rate {recipe.learning_rate}, "
        f"momentum {recipe.momentum}, weight decay {recipe.weight_decay}, {augmentation}, {precision}",
        "budget": f"{budget.compress_s:g} s to compress, {budget.onnx_bytes / 2**20:g} MiB of ONNX",
        "citation": task.citation.strip(),
    }
