"""The layers of a task's dense network, as the simulators will see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.tasks.task import Task


def layer_rows(task: Task) -> list[dict[str, Any]]:
    """One row for each layer that multiplies: name, kind, weight shape, output shape, weights, MACs, share.

    The network is built anew and exported: shapes and counts need neither data nor trained weights.
    Output shapes are of one sample.
    """
    from harness.entries.export import export_onnx
    from harness.models import build_model
    from harness.references.load import example_inputs
    from hw_targets.graph.trace import trace

    model = export_onnx(build_model(task.model, seed=0), example_inputs(task.input))
    layers = trace(model, example_inputs(task.input, 1).numpy())
    total = sum(layer.macs_dense for layer in layers)
    return [
        {
            "layer": layer.name,
            "kind": layer.kind if layer.groups == 1 else f"{layer.kind}, {layer.groups} groups",
            "weight": [] if layer.weight is None else list(layer.weight.shape),
            "output": list(layer.output_shape[1:]),
            "parameters": 0 if layer.weight is None else int(layer.weight.size),
            "macs": layer.macs_dense,
            "share": layer.macs_dense / total,
        }
        for layer in layers
    ]


def layer_cells(task: Task, rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """`rows` for a table, then what lies outside the layers, then the sum."""
    cells = [
        (
            row["layer"],
            row["kind"],
            "×".join(map(str, row["weight"])) or "–",
            "×".join(map(str, row["output"])),
            f"{row['parameters']:,}",
            f"{row['macs']:,}",
            f"{row['share']:.1%}",
        )
        for row in rows
    ]
    weights, macs = sum(row["parameters"] for row in rows), sum(row["macs"] for row in rows)
    rest = ("biases, normalisation, embeddings", "", "", "", f"{task.parameters - weights:,}", "", "")
    return [*cells, rest, ("all", "", "", "", f"{task.parameters:,}", f"{macs:,}", f"{1:.1%}")]


HEADINGS = ("layer", "kind", "weight", "output", "parameters", "MACs", "share")
