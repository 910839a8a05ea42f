"""An ONNX graph cut at the layers that an accelerator takes over; the rest runs in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from hw_targets.graph.onnx_graph import Graph, GraphError


@dataclass(frozen=True)
class HostStep:
    """Nodes between two layers: a session in float32, and the tensors it reads and leaves."""

    session: object
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name.

        Raises:
            GraphError: the runtime fails on these values.
        """
        try:
            found = self.session.run(list(self.outputs), {name: values[name] for name in self.inputs})  # type: ignore[attr-defined]
        except Exception as error:  # the runtime's errors share no narrower base
            raise GraphError(f"ONNX Runtime fails in what makes {list(self.outputs)}: {error}") from error
        return dict(zip(self.outputs, found, strict=True))


@dataclass(frozen=True)
class LayerStep:
    """A layer that the accelerator computes, by the names of the tensors it leaves; empty where nothing reads one."""

    outputs: tuple[str, ...]

    @property
    def first_output(self) -> str:
        """By which the layer is known."""
        return next(name for name in self.outputs if name)


@dataclass(frozen=True)
class Plan:
    """A graph as steps.

    Attributes:
        dead_after: for each step, the tensors that nothing reads any more.
    """

    input: str
    output: str
    steps: tuple[HostStep | LayerStep, ...]
    dead_after: tuple[tuple[str, ...], ...]


def cut(model: onnx.ModelProto, layers: Mapping[str, Sequence[str]]) -> Plan:
    """Cut `model` at the nodes whose first output that has a name is a key of `layers`.

    Args:
        layers: first output of each layer's node → the activations that it reads.

    Raises:
        GraphError: the model has more than one input, or a part of it cannot be run.
    """
    graph = Graph(model)
    inputs = [value.name for value in model.graph.input if value.name not in graph.stored]
    if len(inputs) != 1:
        raise GraphError(f"A model of one input can be cut; this one has {inputs}.")
    output = model.graph.output[0].name
    if output in graph.constant:
        raise GraphError(f"The model's output {output!r} does not depend on its input.")
    groups: list[list[onnx.NodeProto]] = [[]]
    for node in model.graph.node:
        if graph.constant.issuperset(name for name in node.output if name):
            continue
        if first_output(node) in layers:
            groups += [[node], []]
        else:
            groups[-1].append(node)
    groups = [group for group in groups if group]
    reads = [_reads(graph, group, layers) for group in groups]
    steps: list[HostStep | LayerStep] = []
    dead: list[tuple[str, ...]] = []
    types = _types(model)
    for index, group in enumerate(groups):
        later = {output}.union(*reads[index + 1 :])
        made = [name for node in group for name in node.output if name in later]
        if first_output(group[0]) in layers:
            steps.append(LayerStep(tuple(group[0].output)))
        elif not made:  # nothing reads what these nodes compute
            continue
        else:
            steps.append(_host_step(graph, group, sorted(reads[index]), made, types))
        dead.append(tuple(sorted(reads[index] - later)))
    return Plan(inputs[0], output, tuple(steps), tuple(dead))


def first_output(node: onnx.NodeProto) -> str:
    """The first of a node's outputs that has a name; a recurrent node may leave out its states."""
    return next(name for name in node.output if name)


def _reads(graph: Graph, group: Sequence[onnx.NodeProto], layers: Mapping[str, Sequence[str]]) -> set[str]:
    """Activations that a group reads and does not make."""
    if first_output(group[0]) in layers:
        return set(layers[first_output(group[0])])
    made = {name for node in group for name in node.output}
    return {name for node in group for name in node.input if name} - made - graph.constant


def _types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    return {value.name: value.type for value in (*inferred.input, *inferred.value_info, *inferred.output)}


def _host_step(
    graph: Graph,
    group: Sequence[onnx.NodeProto],
    inputs: Sequence[str],
    outputs: Sequence[str],
    types: Mapping[str, onnx.TypeProto],
) -> HostStep:
    import onnxruntime

    values = []
    for name in inputs:
        elem_type = types[name].tensor_type.elem_type if name in types else onnx.TensorProto.FLOAT
        values.append(onnx.helper.make_tensor_value_info(name, elem_type, None))
    part = onnx.helper.make_graph(group, "host", values, [onnx.ValueInfoProto(name=name) for name in outputs])
    part.initializer.extend(graph.tensors(name for node in group for name in node.input if name in graph.constant))
    model = onnx.helper.make_model(part, opset_imports=graph.model.opset_import, ir_version=graph.model.ir_version)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the layers in between need the cores
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no narrower base
        raise GraphError(f"ONNX Runtime cannot run what makes {list(outputs)}: {error}") from error
    return HostStep(session, tuple(inputs), tuple(outputs))
