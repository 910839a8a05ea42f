"""A model in ONNX Runtime with its inputs laid out beforehand, so that a query costs inference alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from hw_targets.cpu.settings import OPTIMISATIONS, CpuOptions


class Runner:
    """Runs `model` (ONNX bytes or a file) on `samples` `[n, …]`, one by one or in batches.

    Each sample is bound to the session once; a query only names it. Inputs are views of one array
    and outputs are written into one bound buffer, so that nothing is copied or allocated.
    """

    def __init__(self, model: bytes | Path, samples: np.ndarray, options: CpuOptions, batch: int = 32) -> None:
        source = str(model) if isinstance(model, Path) else model
        self.session = onnxruntime.InferenceSession(
            source, session_options(options), providers=["CPUExecutionProvider"]
        )
        self.input = self.session.get_inputs()[0].name
        self.samples = np.ascontiguousarray(samples)
        self.batch = batch
        self._buffer = np.empty((batch, *samples.shape[1:]), samples.dtype)
        self._bindings = self._bind()

    def one(self, index: int) -> None:
        """Infer sample `index` alone; its output stays in the session's buffer."""
        self.session.run_with_iobinding(self._bindings[index])

    def many(self, indexes: Sequence[int]) -> None:
        """Infer the samples `indexes`, at most `batch` of them, in one call."""
        taken = self._buffer[: len(indexes)]
        np.take(self.samples, indexes, axis=0, out=taken)
        self.session.run(None, {self.input: taken})

    def warm_up(self, seconds: float) -> tuple[float, float]:
        """Run for about `seconds`; returns the shortest time of one inference, and of one in a batch, in s."""
        single = _least_time(lambda i: self.one(i % len(self.samples)), seconds / 2)
        indexes = [i % len(self.samples) for i in range(self.batch)]
        return single, _least_time(lambda _: self.many(indexes), seconds / 2) / self.batch

    def _bind(self) -> list[onnxruntime.IOBinding]:
        outputs = self.session.run(None, {self.input: self.samples[:1]})
        names = [output.name for output in self.session.get_outputs()]
        buffers = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(output)) for output in outputs]
        self._inputs = [onnxruntime.OrtValue.ortvalue_from_numpy(sample[None]) for sample in self.samples]
        bindings = []
        for value in self._inputs:
            binding = self.session.io_binding()
            binding.bind_ortvalue_input(self.input, value)
            for name, buffer in zip(names, buffers, strict=True):
                binding.bind_ortvalue_output(name, buffer)
            bindings.append(binding)
        return bindings


def session_options(options: CpuOptions) -> onnxruntime.SessionOptions:
    """ONNX Runtime's own form of `options`."""
    of = onnxruntime.SessionOptions()
    of.intra_op_num_threads = options.intra_threads
    of.inter_op_num_threads = options.inter_threads
    parallel = options.inter_threads > 1
    mode = onnxruntime.ExecutionMode
    of.execution_mode = mode.ORT_PARALLEL if parallel else mode.ORT_SEQUENTIAL
    of.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, OPTIMISATIONS[options.optimisation])
    of.log_severity_level = 3
    return of


def median_latency_ns(
    model: onnx.ModelProto, samples: np.ndarray, options: CpuOptions | None = None, seconds: float = 0.3
) -> float:
    """Median time of one batch-1 inference in ns, from about `seconds` in this process.

    Rough and fast, for searches that ask often (NetAdapt, AMC): at least ten inferences of
    `samples` `[n, …]`, taken in turn.
    """
    runner = Runner(model.SerializeToString(), samples, options or CpuOptions(), batch=1)
    runner.warm_up(seconds / 3)
    times: list[int] = []
    end = time.perf_counter() + seconds * 2 / 3
    while len(times) < 10 or time.perf_counter() < end:
        start = time.perf_counter_ns()
        runner.one(len(times) % len(samples))
        times.append(time.perf_counter_ns() - start)
    return float(np.median(times))


def _least_time(run: Callable[[int], None], seconds: float) -> float:
    least, count = float("inf"), 0
    end = time.perf_counter() + seconds
    while count < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run(count)
        least = min(least, time.perf_counter() - start)
        count += 1
    return least
