"""Where training runs: on the devices, and in the processes, that Hugging Face `accelerate` finds.

`torchrun` or `accelerate launch` start several processes; else there is one. `accelerate` keeps one
numerical precision for a whole process, a recipe has its own: so the precision is left alone here,
and the loop opens `torch.autocast` itself (docs/decisions/007).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator


def make_accelerator() -> Accelerator:
    """This process's place among all: device, index, and the means to train together.

    The device is a CUDA one where there is one and `ACCELERATE_USE_CPU` is not set, else the CPU.
    """
    from accelerate import Accelerator
    from accelerate.utils import GradientAccumulationPlugin

    return Accelerator(
        mixed_precision="no",
        cpu=not torch.cuda.is_available(),
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),  # not what the environment may say
    )


def is_main_process() -> bool:
    """Whether this process is the one that prints and writes; always true of a single one."""
    from accelerate import PartialState

    return bool(PartialState(cpu=not torch.cuda.is_available()).is_main_process)


def leave() -> None:
    """End what this process shares with the others, where there are any."""
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available()).destroy_process_group()


def part_of_batch(size: int, index: int, processes: int) -> slice:
    """The samples of a batch that process `index` takes; parts differ by one sample at most.

    Raises:
        ValueError: the batch has fewer samples than there are processes.
    """
    if size < processes:
        raise ValueError(f"A batch of {size} cannot be shared by {processes} processes; start fewer of them.")
    return slice(index * size // processes, (index + 1) * size // processes)


def device_name(device: torch.device) -> str:
    """`cpu`, or a GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
