"""A model in ONNX Runtime with its inputs laid out beforehand, so that a query costs inference alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from hw_targets.cpu.settings import OPTIMISATIONS, CpuOptions
from hw_targets.measuring.load import peak_resident_bytes


class Runner:
    """Runs `model` (ONNX bytes or a file) on `samples` `[n, …]`, one by one or in batches.

    Each sample is bound to the session once; a query only names it. Inputs are views of one array
    and outputs are written into one bound buffer, so that nothing is copied or allocated.
    """

    def __init__(
        self,
        model: bytes | Path,
        samples: np.ndarray,
        options: CpuOptions,
        batch: int = 32,
        *,
        shared_threads: bool = False,
    ) -> None:
        """Make the session; with `shared_threads` it runs on those of `share_threads`."""
        source = str(model) if isinstance(model, Path) else model
        settings = session_options(options)
        settings.use_per_session_threads = not shared_threads
        self.session = onnxruntime.InferenceSession(source, settings, providers=["CPUExecutionProvider"])
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

    def warm_up(self, seconds: float) -> float:
        """Infer single samples for about `seconds`; returns the shortest time of one, in s."""
        least, end = self.time_one(), time.perf_counter() + seconds
        while time.perf_counter() < end:
            least = min(least, self.time_one())
        return least

    def time_one(self) -> float:
        """Time to infer one sample, in s."""
        start = time.perf_counter()
        self.one(0)
        return time.perf_counter() - start

    def time_many(self) -> float:
        """Time to infer one batch, in s."""
        indexes = [i % len(self.samples) for i in range(self.batch)]
        start = time.perf_counter()
        self.many(indexes)
        return time.perf_counter() - start

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


class Processor:
    """ONNX Runtime on this processor, one pool of threads for all models (a `hw_targets.measuring.runner.Machine`)."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = CpuOptions(**options)
        share_threads(self.options)

    def runner(self, model: Path, samples: np.ndarray, batch: int) -> Runner:
        return Runner(model, samples, self.options, batch, shared_threads=True)

    def peak_bytes(self) -> int:
        return peak_resident_bytes()

    def energy_pj(self, infer: Callable[[], int]) -> tuple[float | None, str | None]:
        from hw_targets.energy import measured_energy_pj, processor_monitor

        monitor = processor_monitor()
        if isinstance(monitor, str):
            return None, monitor
        try:
            return measured_energy_pj(monitor, infer), None
        except ValueError as error:
            return None, str(error)


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


def share_threads(options: CpuOptions) -> None:
    """Let the sessions of this process that ask for it share one pool of threads; before the first is made.

    A session's own threads go on spinning for tens of milliseconds after it has answered, to be quick
    if it is asked again: beside another session that answers meanwhile, they take its cores.
    """
    onnxruntime.set_global_thread_pool_sizes(options.intra_threads, options.inter_threads)


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
