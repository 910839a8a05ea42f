"""A graph run in ONNX Runtime as it stands."""

from __future__ import annotations

import numpy as np
import onnx


class GraphError(ValueError):
    """A graph whose multiplications cannot be counted; says which node and why."""


def run_unoptimised(model: onnx.ModelProto, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Run in ONNX Runtime with all graph optimisations off, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        values: list[np.ndarray] = session.run(outputs, feed)
        return values
    except Exception as error:  # the runtime's errors share no narrower base
        raise GraphError(f"ONNX Runtime could not run the graph: {error}") from error
