"""`openprune tasks`: what can be pruned, on which data, and the quality that must be kept."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.cli.complete import completes_with, task_names

if TYPE_CHECKING:
    from harness.tasks.task import Task


ORIGINS = {
    "shipped": "trained by the recipe below; weights and record come with the repository",
    "trained": "trained by the recipe below on first use, and kept",
    "torchvision": "torchvision's published weights, fetched on first use",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("list", "show"), default="list", help="default: list")
    completes_with(parser.add_argument("name", nargs="?", metavar="NAME", help="of the task to show"), task_names)
    parser.add_argument("--json", action="store_true", help="for programs")


def execute(args: argparse.Namespace) -> int:
    from harness.tasks import load_task, task_names
    from harness.util.names import UsageError

    if args.action == "show":
        if args.name is None:
            raise UsageError(f"Which task? openprune tasks show NAME, with NAME one of: {', '.join(task_names())}.")
        return _show(load_task(args.name), args.json)
    if args.name is not None:
        raise UsageError(f"To see one task: openprune tasks show {args.name}")
    return _list([load_task(name) for name in task_names()], args.json)


def _list(tasks: list[Task], as_json: bool) -> int:
    from harness.cli.output import make_table, show_json, show_table
    from harness.views.formatting import value_of

    rows = [summary(task) for task in tasks]
    if as_json:
        show_json(rows)
        return 0
    cells = [
        (
            row["name"],
            row["title"] if row["superseded_by"] is None else f"{row['title']} (superseded by {row['superseded_by']})",
            f"{row['reference']:.2%}" + ("" if row["basis"] == "measured" else "*"),
            f"{row['quality_target']:.2%}",
            value_of("parameters", row["parameters"]),
            value_of("macs_dense", row["macs"]),
            "ready" if row["ready"] else ", ".join(what.split(":")[0] for what in row["missing"]) + " missing",
        )
        for row in rows
    ]
    show_table(make_table(("task", "what", "reference", "quality target", "parameters", "MACs", "state"), cells))
    if any(row["basis"] != "measured" for row in rows):
        print("* as published, not measured here")
    if any(row["missing"] for row in rows):
        print("What to do about what is missing: openprune tasks show NAME")
    return 0


def summary(task: Task) -> dict[str, Any]:
    """`task` in a line of plain values; `ready` is True where nothing is missing on this machine."""
    from harness.references.find import missing_for

    missing = missing_for(task)
    return {
        "name": task.name,
        "version": task.version,
        "title": task.title,
        "dataset": task.dataset,
        "metric": task.metric,
        "reference": task.reference.value,
        "basis": task.reference.basis,
        "quality_target": round(task.quality_target, 6),
        "parameters": task.parameters,
        "macs": task.macs,
        "ready": not missing,
        "missing": missing,
        "superseded_by": task.superseded_by,
    }


def _show(task: Task, as_json: bool) -> int:
    from harness.cli.layers import HEADINGS, layer_cells, layer_rows
    from harness.cli.output import make_table, show_json, show_table
    from harness.util.progress import progress_bar

    with progress_bar(f"Tracing {task.model}", None):
        rows = layer_rows(task)
    if as_json:
        show_json({**asdict(task), **summary(task), "reference": asdict(task.reference), "layers": rows})
        return 0
    show_table(make_table(("fact", "value"), facts(task, summary(task)["missing"]).items(), title=task.title))
    show_table(make_table(HEADINGS, layer_cells(task, rows), title="Layers, for one sample"))
    return 0


def facts(task: Task, missing: list[str]) -> dict[str, Any]:
    """What a reader wants to know of `task`, in words."""
    reference, budget = task.reference, task.budget
    published = f"{reference.published:.2%} ({reference.published_source})" if reference.published else "none cited"
    return {
        "task": f"{task.name}, version {task.version}"
        + (f", superseded by {task.superseded_by}" if task.superseded_by else ""),
        "state": "ready" if not missing else "\n".join(missing),
        "data": task.dataset,
        "model": task.model,
        "input": f"{task.input.dtype} [n, {', '.join(map(str, task.input.shape))}] → [n, {task.input.classes}]",
        "reference": f"{reference.value:.2%} {task.metric}, "
        + ("float32 on ONNX Runtime" if reference.basis == "measured" else "as published; not measured here"),
        "made": ORIGINS[reference.origin],
        "published": published,
        "quality target": f"{task.quality_target:.2%} ({task.quality_ratio:.0%} of the reference)",
        "recipe": _recipe(task),
        "budget": f"{budget.compress_s:g} s to compress, {budget.onnx_bytes / 2**20:g} MiB of ONNX",
        "citation": task.citation.strip(),
    }


def _recipe(task: Task) -> str:
    recipe = task.recipe
    optimizer = f"SGD with momentum {recipe.momentum}" if recipe.optimizer == "sgd" else "AdamW"
    parts = [
        f"{recipe.epochs} epochs of batch {recipe.batch_size}",
        f"{optimizer}, learning rate {recipe.learning_rate}, weight decay {recipe.weight_decay}",
        f"the last {recipe.restart_epochs} from {recipe.restart_learning_rate} again" if recipe.restart_epochs else "",
        f"label smoothing {recipe.label_smoothing}" if recipe.label_smoothing else "",
        "" if task.input.dtype == "int64" else f"crops from {recipe.crop_padding} pixels of border",
        "flips" if recipe.flip and task.input.dtype != "int64" else "",
        "bfloat16 autocast" if recipe.bfloat16 else "float32",
    ]
    return ", ".join(part for part in parts if part)
