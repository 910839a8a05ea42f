"""One run of the model, and what it tells about each layer's output units.

A trace depends on the model's structure alone, not on its weights. Made once, it serves
`prunable_filters`, `coupled` and `shrink` alike, also after the weights have changed.
"""

from __future__ import annotations

import torch
from torch import nn

from pruning.layers import weight_layers
from pruning.observing import inference
from pruning.shrinking.follow import Channels
from pruning.shrinking.operators import RULES
from pruning.shrinking.stream import Stream


class Trace:
    """Which layers of `model` read, add or normalise the outputs of which; the model is left as it is.

    Args:
        example_inputs: one batch, as the model takes it.

    Attributes:
        inputs: the example inputs.

    Raises:
        ValueError: the model does not run on `example_inputs`, or does not give one tensor.
    """

    def __init__(self, model: nn.Module, example_inputs: torch.Tensor) -> None:
        self.inputs = example_inputs.detach()
        self._shapes = _shapes(model)
        labelled = self.inputs.view_as(self.inputs)
        channels = Channels(model, labelled, RULES)
        try:
            with inference(model), channels:
                outputs = model(labelled)
            if not isinstance(outputs, torch.Tensor):
                raise TypeError(f"the model must give one tensor, not {type(outputs).__name__}")
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ValueError(f"The model could not be traced on the example inputs: {error}") from error
        label = channels.label(outputs)
        if label is not None:
            label.stream.block("it reaches the output of the model")
        self._streams = {name: stream.root() for name, stream in channels.written.items()}

    def stream(self, layer: str) -> Stream:
        """The channels that the output units of `layer` are; with an obstacle where they cannot fall."""
        stream = self._streams.get(layer)
        if stream is None:
            return Stream(producers=[layer], obstacle="the example inputs do not pass through it")
        if stream.obstacle is None and not stream.readers:
            return Stream(stream.producers, obstacle="no layer reads it")
        return stream

    def check(self, model: nn.Module) -> None:
        """Raises ValueError: the trace is of a model with other layers."""
        if _shapes(model) != self._shapes:
            raise ValueError("The trace was made of a model with other layers. Trace this one: Trace(model, inputs).")


def traced(model: nn.Module, example_inputs: torch.Tensor | Trace) -> Trace:
    """A trace of `model`: the one given, or a new one."""
    if isinstance(example_inputs, Trace):
        example_inputs.check(model)
        return example_inputs
    return Trace(model, example_inputs)


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: layer.weight.shape for name, layer in weight_layers(model).items()}
