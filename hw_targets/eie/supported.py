"""Which layers EIE's session can run."""

from __future__ import annotations

from collections.abc import Sequence

from hw_targets.graph.onnx_graph import ComputeNode, GraphError

FORWARD = b"forward"


def check_supported(nodes: Sequence[ComputeNode]) -> None:
    """Hold all layers with weights against what the accelerator's session computes.

    Raises:
        GraphError: names the first layer that it does not, and says what it is.
    """
    for node in nodes:
        if reason := _why_not(node):
            raise GraphError(f"Layer {node.name} does not run on EIE: {reason}.")


def _why_not(node: ComputeNode) -> str | None:
    if node.kind in ("conv_transpose", "gru", "rnn"):
        return f"{node.node.op_type} is not among what its session computes (Conv, Gemm, MatMul, LSTM)"
    if node.kind == "lstm" and (node.groups > 1 or node.attributes.get("direction", FORWARD) != FORWARD):
        return "an LSTM is computed in one direction, forward"
    if node.arrange is not None:
        return f"{node.node.op_type} multiplies by a vector, a stack of matrices or by named dimensions, not one matrix"
    return None
