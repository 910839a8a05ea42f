"""Numbers in fixed point: integers of a few bits, times a power of two.

A product of two 16-bit numbers has 31 bits, so that float64, with 53, adds 2^22 of them without
rounding: sums of products are exact whatever their order, and one rounding is left, at write-back.
float32 could not do that.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp

import numpy as np

EXACT_TERMS = 1 << 22  # products of 16-bit numbers that a float64 sums exactly


@dataclass(frozen=True)
class FixedPoint:
    """A signed fixed-point format: `bits`, of which `fraction` lie behind the binary point.

    `fraction` may be negative or exceed `bits`: the point need not lie within the number.
    """

    bits: int
    fraction: int

    @property
    def greatest(self) -> int:
        """The largest code; the least is one further from zero."""
        return (1 << (self.bits - 1)) - 1

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Codes, whole numbers in float64: to the nearest, ties to even, saturated."""
        return self._round(np.multiply(values, 2.0**self.fraction, dtype=np.float64))

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """The numbers that codes mean, float64."""
        return np.multiply(codes, 2.0**-self.fraction, dtype=np.float64)

    def write_back(self, sums: np.ndarray, fraction: int) -> np.ndarray:
        """Codes of exact sums that have `fraction` bits behind the point: one rounding, and saturation."""
        return self._round(np.multiply(sums, 2.0 ** (self.fraction - fraction), dtype=np.float64))

    def _round(self, scaled: np.ndarray) -> np.ndarray:
        """Whole numbers nearest to `scaled`, within range, in its place."""
        scaled = np.asarray(scaled)  # a product of one number is none
        np.rint(scaled, out=scaled)
        return np.clip(scaled, -self.greatest - 1, self.greatest, out=scaled)


def format_for(greatest: float, bits: int) -> FixedPoint:
    """The format with the most bits behind the point in which ±`greatest` does not saturate.

    Raises:
        ValueError: `greatest` is not finite.
    """
    if not np.isfinite(greatest):
        raise ValueError(f"There is no fixed-point format for {greatest}.")
    if greatest == 0:
        return FixedPoint(bits, bits - 1)
    exponent = frexp(greatest)[1]  # greatest < 2^exponent
    tight = FixedPoint(bits, bits - 1 - exponent)
    fits = np.rint(abs(greatest) * 2.0**tight.fraction) <= tight.greatest
    return tight if fits else FixedPoint(bits, tight.fraction - 1)
