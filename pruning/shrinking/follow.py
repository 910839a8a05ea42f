"""See every call of torch while a model runs, and keep for each tensor where its channels lie.

No graph is built: what an operator does to the channels of its inputs is noted as it runs, by the
rule of its name. Only shapes matter here, so what costs time is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from pruning.layers import weight_layers
from pruning.shrinking.stream import Label, Stream

POOLINGS = {f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_max", "adaptive_avg") for n in (1, 2, 3)}
ACTIVATIONS = set("relu relu6 hardtanh leaky_relu elu selu celu gelu silu hardswish mish tanh".split())
SHAPED = {"conv1d", "conv2d", "conv3d", "linear"} | POOLINGS  # not computed: zeros of the right shape
PASSED = {"batch_norm"} | ACTIVATIONS  # not computed either: their output has the shape of their input


@dataclass(frozen=True)
class Call:
    """One call: `result = function(*args, **kwargs)`; the name is bare (`__iadd__` is `iadd`)."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any

    def argument(self, place: int, name: str) -> Any:
        return self.args[place] if len(self.args) > place else self.kwargs.get(name)

    def tensors(self) -> Iterator[torch.Tensor]:
        """All tensors among the arguments, also those in a list."""
        for value in (*self.args, *self.kwargs.values()):
            yield from _tensors(value)


def _tensors(value: Any) -> list[torch.Tensor]:
    """A tensor, or those in a list or tuple."""
    return [
        item for item in (value if isinstance(value, (list, tuple)) else (value,)) if isinstance(item, torch.Tensor)
    ]


def _run(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The result of a call, or for what costs time any tensor of its shape and type."""
    if name in PASSED and args:
        return args[0]
    inputs = args[0] if args else None
    if name not in SHAPED or not isinstance(inputs, torch.Tensor) or inputs.ndim < _batched(name):
        return function(*args, **kwargs)
    result = function(inputs[:0], *args[1:], **kwargs)  # an empty batch is checked, and costs nothing
    made = [tensor.new_zeros(len(inputs), *tensor.shape[1:]) for tensor in _tensors(result)]
    return tuple(made) if isinstance(result, tuple) else made[0]


def _batched(name: str) -> int:
    """Dimensions of a batch: `max_pool2d` takes `[n, c, h, w]`."""
    return 2 if name == "linear" else int(name[-2]) + 2


class Channels(TorchFunctionMode):
    """Follows channels through a model that runs inside it (`with channels: model(inputs)`).

    Args:
        rules: bare name of an operator → what it does to channels; no channel crosses any other.

    Attributes:
        written: layer → the stream of its outputs; read: layer → the stream that it reads.
    """

    def __init__(self, model: nn.Module, inputs: torch.Tensor, rules: Mapping[str, Rule]) -> None:
        super().__init__()
        self.rules = rules
        self.layers = weight_layers(model)
        self.written: dict[str, Stream] = {}
        self.read: dict[str, Stream] = {}
        self.owners: dict[int, str] = {}
        self.shared: set[str] = set()
        for name, module in model.named_modules():
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                owner = self.owners.setdefault(id(tensor), name)
                self.shared |= {owner, name} if owner != name else set()
        self.labels = WeakTensorKeyDictionary()
        self.labels[inputs] = Label(Stream(obstacle="it is joined with the input of the model"), None)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "unknown").strip("_")
        result = _run(name, func, args, kwargs or {})
        self.rules.get(name, Channels.stop)(self, Call(name, func, args, kwargs or {}, result))
        return result

    def label(self, value: Any) -> Label | None:
        """Where the channels lie in a tensor; None for constants."""
        return self.labels.get(value) if isinstance(value, torch.Tensor) else None

    def give(self, result: Any, label: Label) -> None:
        """Note it for the tensor `result`, or all in a tuple."""
        for tensor in _tensors(result):
            self.labels[tensor] = label

    def owner(self, tensors: Iterable[torch.Tensor]) -> str | None:
        """The module that holds the first of `tensors` which is a parameter or buffer."""
        return next((self.owners[id(tensor)] for tensor in tensors if id(tensor) in self.owners), None)

    def stop(self, call: Call, obstacle: str | None = None) -> None:
        """No channel crosses `call`."""
        labels = [label for tensor in call.tensors() if (label := self.label(tensor)) is not None]
        if not labels or not (_tensors(call.result) or call.name == "setitem"):
            return  # of constants alone, or a question such as a tensor's shape
        what = self.owner(call.tensors()) or f"the operator {call.name}"
        obstacle = obstacle or f"it reaches {what}, which cannot be crossed"
        for label in labels:
            label.stream.block(obstacle)
        self.give(call.result, Label(Stream(obstacle=obstacle), None))


Rule = Callable[[Channels, Call], None]
