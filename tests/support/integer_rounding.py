"""Rounding in integers alone, the oracle of fixed point."""

from __future__ import annotations


def nearest(exact: int, shift: int) -> int:
    """exact / 2^shift, to the nearest integer, ties to even, in integers alone."""
    whole, rest = divmod(exact, 1 << shift)
    half = 1 << (shift - 1)
    return whole + (rest > half or (rest == half and whole % 2 == 1))
