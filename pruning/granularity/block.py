"""Rectangles of the weight matrix: what a matrix unit multiplies at once.

Block-sparse matrices as GPUs and Block-ELL formats take them (Gray et al. 2017, "GPU Kernels for
Block-Sparse Weights"; Narang et al. 2017, arXiv 1711.02782).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from pruning.granularity.pooling import lp_norm


@dataclass(frozen=True)
class Block:
    """Blocks of `rows × columns` of the matrix `[c_o, c_i·k_h·k_w]`, row by row of blocks.

    The matrix is the weight with all but its first dimension flattened, as it lies in memory. All
    blocks have one size, so their scores compare between layers as they are.

    Attributes:
        rows: output units in a block; must divide `c_o`.
        columns: neighbouring weights of one output unit; must divide `c_i·k_h·k_w`.

    Raises:
        ValueError: a side below 1.
    """

    rows: int = 4
    columns: int = 4

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise ValueError(f"A block has 1 row and column or more, not {self.rows} × {self.columns}.")

    def group_size(self, shape: torch.Size) -> int:
        self._grid(shape)
        return self.rows * self.columns

    def pool(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        down, across = self._grid(scores.shape)
        blocks = scores.reshape(down, self.rows, across, self.columns).transpose(1, 2)
        return lp_norm(blocks.flatten(2).flatten(0, 1).double(), p)

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        down, across = self._grid(shape)
        return kept.reshape(down, 1, across, 1).expand(down, self.rows, across, self.columns).reshape(shape)

    def _grid(self, shape: torch.Size) -> tuple[int, int]:
        """Blocks down and across."""
        height, width = shape[0], math.prod(shape[1:])
        if height % self.rows or width % self.columns:
            raise ValueError(
                f"its {height} × {width} matrix does not fall into blocks of {self.rows} × {self.columns}; "
                "choose sides that divide it, or leave the layer out (layers=)."
            )
        return height // self.rows, width // self.columns
