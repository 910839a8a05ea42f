"""N:M: of every M neighbouring inputs, N weights stay.

A fixed number in each small run makes hardware simple: two values and two 2-bit positions replace
four values in the 2:4 format of Nvidia's sparse tensor cores (Mishra et al. 2021, arXiv 2104.08378).
The runs lie along the dimension that a matrix product sums over. For a convolution that is
`[c_o, k_h·k_w·c_i]`: M neighbouring input channels at one place of the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class NM:
    """Keep the `n` best of every `m` weights in a row; of equal scores, those of lower index.

    Attributes:
        n: weights KEPT of every `m` (2:4 keeps two of four; for other numbers some texts count
            those that fall).
        m: must divide the number of inputs (of a convolution: of its input channels).

    Raises:
        ValueError: not 0 ≤ n ≤ m with m ≥ 1.
    """

    n: int = 2
    m: int = 4

    def __post_init__(self) -> None:
        if not (0 <= self.n <= self.m and self.m >= 1):
            raise ValueError(f"N:M keeps N of every M weights, so 0 ≤ N ≤ M and M ≥ 1; not {self.n}:{self.m}.")

    def best(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        inputs = scores.shape[1]
        if inputs % self.m:
            raise ValueError(
                f"{self.n}:{self.m} takes inputs in runs of {self.m}, and {inputs} is no multiple of that; "
                "leave the layer out (layers=, skip_first_conv)."
            )
        last = scores.movedim(1, -1)  # inputs last
        runs = last.reshape(-1, self.m)
        order = runs.argsort(dim=1, descending=True, stable=True)
        kept = torch.zeros(runs.shape, dtype=torch.bool).scatter_(1, order[:, : self.n], True)
        return kept.reshape(last.shape).movedim(-1, 1).contiguous()
