"""The dense network of every task that runs here, as we export it and as the field's own tools do."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from harness.data import load_dataset
from harness.entries.export import OPSET, export_onnx
from harness.models import build_model
from harness.references.find import ReferenceFile, find_reference
from harness.references.load import reference_module
from harness.tasks import load_task
from harness.tasks.task import Task

RUN_HERE = (
    "digits_mlp",
    "mnist_lenet300",
    "cifar10_resnet20",
    "cifar10_vgg",
    "cifar10_mobilenetv2",
    "rotten_tomatoes_minilm",
)
CALIBRATION_SAMPLES = 512


@dataclass(frozen=True)
class Network:
    """A task's dense network.

    Attributes:
        weights: "reference", or "random" where the reference is not on this machine.
        samples: of the training data, `[CALIBRATION_SAMPLES, …]` as the task's contract has them.
    """

    task: Task
    module: nn.Module
    weights: str
    samples: torch.Tensor

    @property
    def transformer(self) -> bool:
        return self.task.input.dtype == "int64"


def load_network(name: str) -> Network:
    """Task `name`'s network, with the reference's weights where they are here already."""
    task = load_task(name)
    found = find_reference(task)
    here = isinstance(found, ReferenceFile)
    module = reference_module(task, found.path) if here else build_model(task.model, seed=0).eval()
    loader = load_dataset(task.dataset).without_test().loader("train", batch_size=CALIBRATION_SAMPLES)
    return Network(task, module, "reference" if here else "random", next(iter(loader))[0].contiguous())


def our_export(network: Network) -> onnx.ModelProto:
    """As the harness exports it."""
    return export_onnx(network.module, network.samples[:2])


def default_export(network: Network) -> onnx.ModelProto:
    """As torch exports it by default, with a free batch dimension."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    quiet = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.module,
            (network.samples[:2],),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["output"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def extended(model: onnx.ModelProto) -> onnx.ModelProto:
    """The file that ONNX Runtime's extended optimisation makes of `model`."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(folder) / "extended.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def quantised(network: Network, model: onnx.ModelProto) -> onnx.ModelProto:
    """ONNX Runtime's own 8 bits of `model`: static for pictures (QDQ, uint8 activations), dynamic for a transformer.

    Weights are int8, with a scale for each output.
    """
    from onnxruntime import quantization as ort

    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, prepared, result = (str(Path(folder) / f"{name}.onnx") for name in ("plain", "prepared", "result"))
        model = onnx.ModelProto.FromString(model.SerializeToString())
        if network.transformer:
            del model.graph.value_info[:]  # shape inference would disagree with it
            onnx.save(model, plain)
            ort.quantize_dynamic(plain, result, per_channel=True, weight_type=ort.QuantType.QInt8)
            return onnx.load(result)
        onnx.save(model, plain)
        ort.shape_inference.quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        ort.quantize_static(
            prepared,
            result,
            _Reader(network.samples.numpy()),
            quant_format=ort.QuantFormat.QDQ,
            per_channel=True,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
        )
        return onnx.load(result)


class _Reader:
    """Calibration data in the form that ONNX Runtime's quantiser asks for."""

    def __init__(self, samples: np.ndarray) -> None:
        self.batches: Iterator[np.ndarray] = iter(np.array_split(samples, len(samples) // 32))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"input": batch}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def integer_instructions() -> str:
    """Which of the processor's integer dot products there are, as Linux names them."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return "integer instructions not known"
    found = [each for each in ("amx_int8", "avx512_vnni", "avx_vnni", "asimddp") if each in flags]
    return " ".join(found) or "no VNNI"
